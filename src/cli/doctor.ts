// doctor: looks at everything Tallyrace needs and says, a line each, what is wrong and the fix.
// Exit 1 when a check fails. Changes nothing.
import type { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { type Config, readConfig } from '../config.ts';
import { withServers } from '../supervisor/home.ts';
import { type Check, clockCheck, diskCheck, portCheck } from './doctor-machine.ts';
import { secretsCheck } from './doctor-secrets.ts';
import { postgresChecks, redisChecks } from './doctor-servers.ts';
import { exitCodes } from './exit.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this machine, the servers and the settings; exit 1 if anything is wrong')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const checks = await examine(readConfig(process.env));
      const ok = checks.every((check) => check.ok);
      console.log(json ? JSON.stringify({ ok, checks }) : checks.map(line).join('\n'));
      if (!ok) process.exitCode = exitCodes.checkFailed;
    });
}

export async function examine(config: Config): Promise<Check[]> {
  const checks = [
    bunCheck(),
    diskCheck(config.home),
    secretsCheck(config.home),
    await portCheck(config),
  ];
  let served: ReturnType<typeof withServers>;
  try {
    served = withServers(config);
  } catch (error) {
    const fix = error instanceof Error ? error.message : String(error);
    return [...checks, { name: 'servers', ok: false, detail: 'there are none yet', fix }];
  }
  const [redis, postgres, clock] = await Promise.all([
    redisChecks(served.redisUrl, config.redisReplicasMin),
    postgresChecks(served.databaseUrl),
    clockCheck(served.redisUrl),
  ]);
  return [...checks, ...redis, ...postgres, clock];
}

function bunCheck(): Check {
  const wanted = packageJson.engines.bun;
  const ok = Bun.version === wanted;
  const fix = ok ? '' : `start with "npm start", which gets Bun ${wanted}`;
  return { name: 'bun', ok, detail: `version ${Bun.version}`, fix };
}

function line({ name, ok, detail, fix }: Check): string {
  const verdict = `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(27)}  ${detail}`;
  return fix ? `${verdict}\n      fix: ${fix}` : verdict;
}
