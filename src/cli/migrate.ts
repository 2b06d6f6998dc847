// migrate: brings the schema forward, or says how it stands. Needs the owner of the database.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { migrate, schemaState } from '../store/migrate.ts';
import { withServers } from '../supervisor/home.ts';
import { exitCodes, Failure } from './exit.ts';

const databaseUrl = (): string => withServers(readConfig(process.env)).databaseUrl;

export function addMigrate(program: Command): void {
  const verb = program
    .command('migrate')
    .description('apply what is missing of sql/migrations and sql/queries')
    .action(async () => {
      const applied = await migrate(databaseUrl(), (line) => console.log(line));
      if (applied.length === 0) console.log('the schema is current');
    });
  verb
    .command('status')
    .description('what would be applied')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const state = await schemaState(databaseUrl());
      console.log(json ? JSON.stringify(state) : state.detail);
    });
  verb
    .command('verify')
    .description('exit 1 unless everything is applied and nothing was edited afterwards')
    .action(async () => {
      const { current, detail } = await schemaState(databaseUrl());
      if (!current) throw new Failure(detail, exitCodes.checkFailed);
      console.log(detail);
    });
}
