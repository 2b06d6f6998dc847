// T8: the same work given to other ledgers that keep their books in Postgres, to the one that
// people write at home, and to ours, in turns on one machine. Part of no other run, since the peers
// must be fetched and built first: docs/peers.md says how.
//   node toolchain/run.mjs bench/peers/run.ts [--cala binary] [--pgledger folder] [--spread]
//     [--seconds n] [--rounds n] [--only name,name] [--connections n] [--json file]
// POOL in the environment is the number of connections that a peer's server has to its Postgres.
import { parseArgs } from 'node:util';
import { describeMachine } from '../lib/machine.ts';
import { cala } from './cala.ts';
import { type Figure, measure } from './measure.ts';
import type { Peer, Running, Way } from './peer.ts';
import { pgledger } from './pgledger.ts';
import { tallyrace } from './tallyrace.ts';
import { textbook } from './textbook.ts';

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    cala: { type: 'string' },
    pgledger: { type: 'string' },
    spread: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    connections: { type: 'string' },
    json: { type: 'string' },
  },
});

interface Row {
  peer: Peer;
  way: Way;
  figures: Figure[];
}

const machine = describeMachine();
const all: Peer[] = [
  tallyrace(`commit ${machine.commit}`),
  textbook(),
  ...(values.pgledger ? [pgledger(values.pgledger)] : []),
  ...(values.cala ? [cala(values.cala, false), cala(values.cala, true)] : []),
];
const only = values.only?.split(',');
const peers = all.filter(({ name }) => !only || only.includes(name));
const fixed = Number(values.connections);
const tuned = fixed ? { connections: { hot: fixed, spread: fixed } } : {};
const rows: Row[] = peers.flatMap((peer) =>
  peer.ways.map((way) => ({ peer, way: { ...way, ...tuned }, figures: [] })),
);
const running = new Map<Peer, Running>();
try {
  for (const peer of peers) running.set(peer, await peer.start());
  for (let round = 1; round <= Number(values.rounds); round++)
    for (const row of rows) await measureRow(row, round);
} finally {
  for (const one of running.values()) await one.close();
}
if (values.json) await Bun.write(values.json, JSON.stringify({ machine, values, rows }, null, 2));
printTable();

async function measureRow({ peer, way, figures }: Row, round: number): Promise<void> {
  const options = { seconds: Number(values.seconds), spread: values.spread };
  const figure = await measure(running.get(peer)!, way, options);
  figures.push(figure);
  const { entriesPerSecond, p50Ms, p99Ms, elsewhere, doubts } = figure;
  const cores = { ...figure.cores, elsewhere };
  const used = Object.entries(cores).map(([name, value]) => `${name} ${value.toFixed(2)}`);
  console.log(
    `${round}  ${peer.name}, ${way.name}: ${whole(entriesPerSecond)} entries/s, ` +
      `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms; cores: ${used.join(', ')}`,
  );
  for (const doubt of doubts) console.log(`   doubtful: ${doubt}`);
}

/** Single to single and batch to batch, both counted after the commit. */
function printTable(): void {
  console.log(`\n${machine.cpu}, ${machine.cores} cores, commit ${machine.commit}`);
  for (const { peer, way, figures } of rows) {
    const rate = median(figures);
    const ours = rows.find(({ way: our }) => our.name === way.name)!;
    const ratio = ours.peer === peer ? '' : `${ratioOf(ours, figures).toFixed(1)} x`;
    const label = `${peer.name} (${peer.version}), ${way.name}`;
    const cpu = `${whole(medianOf(figures.map(cpuMicrosAnEntry)))} us CPU an entry`;
    console.log(`${label.padEnd(60)} ${whole(rate).padStart(8)} entries/s  ${cpu}  ${ratio}`);
  }
}

/** Ours to theirs within each round, then the median: a round that was slow was so for both. */
function ratioOf(ours: Row, theirs: readonly Figure[]): number {
  return medianOf(
    theirs.map((figure, round) => ours.figures[round]!.entriesPerSecond / figure.entriesPerSecond),
  );
}

function median(figures: readonly Figure[]): number {
  return medianOf(figures.map(({ entriesPerSecond }) => entriesPerSecond));
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Of everything but the generator; other work on the machine hardly touches it. */
function cpuMicrosAnEntry({ cores, entriesPerSecond }: Figure): number {
  const total = Object.entries(cores)
    .filter(([name]) => name !== 'generator')
    .reduce((sum, [, value]) => sum + value, 0);
  return (total * 1e6) / entriesPerSecond;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
