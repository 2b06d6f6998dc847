#!/usr/bin/env bun
// The tallyrace command: reads the command line, runs one verb, turns its end into an exit code.
import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { ArchiveError } from './backup/archive.ts';
import { exitCodes, Failure } from './cli/exit.ts';
import { verbs } from './cli/index.ts';
import { ConfigError } from './config.ts';
import { MigrationError } from './store/release.ts';
import { Unavailable } from './supervisor/launch.ts';

const codesHelp = `
Exit codes: 0 done, 1 a check failed, 2 wrong usage, 69 something needed is not available,
78 a setting is wrong. Settings come from the environment; .env.example lists them.`;

const program = new Command('tallyrace')
  .description(packageJson.description)
  .version(packageJson.version)
  .addHelpText('after', codesHelp)
  .showHelpAfterError('(--help lists what there is)')
  .exitOverride();
for (const add of verbs) add(program);
// Verbs made before exitOverride was known to them would exit by themselves.
for (const verb of program.commands) inherit(verb);

process.exitCode = await run();

function inherit(verb: Command): void {
  verb.exitOverride();
  for (const inner of verb.commands) inherit(inner);
}

async function run(): Promise<number> {
  try {
    await program.parseAsync();
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    const known = codeOf(error);
    console.error(known !== null && error instanceof Error ? message(error) : error);
    return known ?? exitCodes.checkFailed;
  }
}

function message(error: Error): string {
  const advice = 'Is Tallyrace running ("npm start"), or the server of DATABASE_URL or REDIS_URL?';
  return 'code' in error ? `${error.message}\n${advice}` : error.message;
}

/** Null for a fault of ours, which is shown with its stack. */
function codeOf(error: unknown): number | null {
  if (error instanceof Failure) return error.exitCode;
  if (error instanceof ArchiveError) return exitCodes.checkFailed;
  if (error instanceof ConfigError) return exitCodes.configuration;
  if (error instanceof Unavailable || error instanceof MigrationError) return exitCodes.unavailable;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['ECONNREFUSED', 'CONNECT_TIMEOUT', 'CONNECTION_CLOSED'].includes(code)
    ? exitCodes.unavailable
    : null;
}
