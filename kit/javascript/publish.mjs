#!/usr/bin/env node
// Publish statements: one JSON object a line on standard input, one answer a line on standard output.
//
//     node publish.mjs SETTINGS.json < statements
//
// Settings: schemas, key (PEM file), authority, outbox (folder), origin, log_keys, and either http (address) or kafka
// ({brokers, prefix, ssl, sasl}). What an interrupted run had signed is sent first. Exit status: 0 all recorded,
// 1 something was refused, 8 something has no answer yet: run again.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Catalogue } from "./catalogue.mjs";
import { HttpTransport } from "./http.mjs";
import { Outbox } from "./outbox.mjs";
import { Publisher } from "./publisher.mjs";
import { PrivateKey } from "./signatures.mjs";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const catalogue = new Catalogue(settings.schemas);
const key = PrivateKey.fromPem(readFileSync(settings.key, "utf8"));
const outbox = new Outbox(settings.outbox);
const { authority, origin } = settings;
const ms = settings.ms ?? 60_000;

let transport;
if (settings.kafka) {
  const { Kafka, logLevel } = await import("kafkajs");
  const { KafkaTransport } = await import("./kafka.mjs");
  const { prefix, ...client } = settings.kafka;
  const kafka = new Kafka({ clientId: "comity-publisher", logLevel: logLevel.NOTHING, ...client });
  transport = new KafkaTransport(kafka, catalogue, { authority, key, prefix });
  await transport.connect();
} else {
  transport = new HttpTransport(settings.http);
}
const publisher = new Publisher({ catalogue, outbox, key, authority, origin, logKeys: settings.log_keys, transport });

const said = [];
for await (const line of createInterface({ input: process.stdin })) if (line.trim()) said.push(JSON.parse(line));
const answers = await publisher.publish({ ms }); // of an earlier run
if (said.length) publisher.sign(said);
// For the tests of a crash: what is signed and stored is sent by the next run.
if (!settings.stop_before_sending) Object.assign(answers, await publisher.publish({ ms }));
for (const [id, answer] of Object.entries(answers)) process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
for (const one of outbox.refused) process.stderr.write(`refused: ${one.id} ${one.code} ${one.at ?? ""}\n`);
for (const [id, why] of publisher.doubts) process.stderr.write(`an answer was not believed: ${id}: ${why}\n`);
const refused = outbox.refused.length;
const pending = outbox.pending.length;
outbox.shown(outbox.refused.map((one) => one.id));
outbox.close();
await transport.close?.();
process.exitCode = pending ? 8 : refused ? 1 : 0;
