// restart: replaces the processes of a running `npm start` one at a time, so that none is missed.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { homeAt } from '../supervisor/home.ts';
import { askForRestart } from '../supervisor/restart.ts';

export function addRestart(program: Command): void {
  program
    .command('restart')
    .description('replace the processes of "npm start" one at a time; stops at a failure')
    .action(async () => {
      console.log(await askForRestart(homeAt(readConfig(process.env).home)));
    });
}
