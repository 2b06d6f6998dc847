// sandbox: the gateways of tests and of a first look, in a process of their own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../gateways/sandbox/sandbox.ts';
import { endOnSurprise, endWithin, stopSignal } from '../io/lifecycle.ts';
import { createLog } from '../io/log.ts';
import { Metrics } from '../io/metrics.ts';
import { publishMetrics, watchProcess } from '../io/metrics-text.ts';
import { Failure, exitCodes } from './exit.ts';

export function addSandbox(program: Command): void {
  program
    .command('sandbox')
    .description('run the sandbox of both gateways; see docs/sandbox.md')
    .option('--memory', 'forget everything at the end')
    .action(async ({ memory = false }: { memory?: boolean }) => {
      const config = readConfig(process.env);
      const name = config.processName ?? 'sandbox';
      const log = createLog(name, config.logLevel);
      endOnSurprise((error) => log.fatal({ error }, 'unexpected end'));
      const stopping = stopSignal();
      const folder = join(config.home, 'sandbox');
      if (!memory) mkdirSync(folder, { recursive: true, mode: 0o700 });
      const path = memory ? ':memory:' : join(folder, 'sandbox.db');
      const sandbox = await started({ port: config.sandboxPort, path, log });
      // The supervisor takes the first metrics as the sign that it works.
      const metrics = new Metrics();
      watchProcess(metrics);
      const published = publishMetrics(metrics, join(config.home, 'run'), name);
      log.info(sandbox.urls, 'listening');
      const signal = await stopping;
      log.info({ signal }, 'stopping');
      endWithin(config.drainMs);
      await published.stop();
      await sandbox.stop();
      process.exit(0);
    });
}

async function started(options: SandboxOptions): Promise<Sandbox> {
  try {
    return await startSandbox(options);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    const { port } = options;
    const says = `One of the ports ${port} to ${port + 2} is taken; SANDBOX_PORT moves them.`;
    throw new Failure(says, exitCodes.unavailable);
  }
}
