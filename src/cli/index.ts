// Every verb of the command, one file each. A new verb is one import and one entry here.
import type { Command } from 'commander';
import { addBackup } from './backup.ts';
import { addBench } from './bench.ts';
import { addCoupons } from './coupons.ts';
import { addDlq } from './dlq.ts';
import { addDoctor } from './doctor.ts';
import { addGateways } from './gateways.ts';
import { addKeys } from './keys.ts';
import { addLoad } from './load.ts';
import { addMigrate } from './migrate.ts';
import { addProcesses } from './processes.ts';
import { addReplay } from './replay.ts';
import { addRestart } from './restart.ts';
import { addRisk } from './risk.ts';
import { addSandbox } from './sandbox.ts';
import { addUp } from './up.ts';
import { addVerify } from './verify.ts';
import { addWebhooks } from './webhooks.ts';

/** Adds its verb to the command; an action that fails throws a Failure. */
export type AddVerb = (program: Command) => void;

export const verbs: readonly AddVerb[] = [
  addUp,
  addProcesses,
  addSandbox,
  addMigrate,
  addBackup,
  addKeys,
  addGateways,
  addRisk,
  addWebhooks,
  addCoupons,
  addVerify,
  addDlq,
  addReplay,
  addRestart,
  addDoctor,
  addBench,
  addLoad,
];
