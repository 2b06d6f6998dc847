// ingress and worker: one process each, in the foreground, for those who supervise by themselves.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { endOnSurprise } from '../io/lifecycle.ts';
import { createLog } from '../io/log.ts';
import { withServers } from '../supervisor/home.ts';

export function addProcesses(program: Command): void {
  program
    .command('ingress')
    .description('run one ingress process: HTTP in, streams out')
    .action(async () => {
      const config = processConfig('ingress');
      const { runIngress } = await import('../ingress.ts');
      await toItsEnd(runIngress(config));
    });
  program
    .command('worker')
    .description('run one worker process: streams in, ledger out')
    .action(async () => {
      const config = processConfig('worker');
      const { runWorker } = await import('../../consumers/main.ts');
      await toItsEnd(runWorker(config));
    });
  program
    .command('effects')
    .description('run one effects process: calls to gateways, webhooks to tenants')
    .action(async () => {
      const config = processConfig('effects');
      const { runEffects } = await import('../effects/main.ts');
      await toItsEnd(runEffects(config));
    });
}

/** Then the process ends, also when it could not start: connections would keep it, doing nothing,
 * and whoever supervises it would never know. */
async function toItsEnd(running: Promise<void>): Promise<void> {
  try {
    await running;
  } catch (error) {
    // After the error was told, and has become an exit code.
    setImmediate(() => process.exit());
    throw error;
  }
  process.exit(0);
}

function processConfig(verb: string): ReturnType<typeof withServers> {
  const config = withServers(readConfig(process.env));
  const log = createLog(config.processName ?? verb, config.logLevel);
  endOnSurprise((error) => log.fatal({ error }, 'unexpected end'));
  return config;
}
