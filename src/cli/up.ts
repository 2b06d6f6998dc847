// up: the whole stack in the foreground, as `npm start` runs it.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { endWithin, stopSignal } from '../io/lifecycle.ts';
import { homeAt } from '../supervisor/home.ts';
import { findFreePort } from '../supervisor/ports.ts';
import { restartOnSignal } from '../supervisor/restart.ts';
import { Supervisor, type Started } from '../supervisor/supervisor.ts';
import { takeTour } from '../supervisor/tour.ts';

interface UpOptions {
  port?: string;
  ingress?: string;
  workers?: string;
  home?: string;
}

/** Longer than every part's own deadline together. */
const STOP_WITHIN_MS = 90_000;

export function addUp(program: Command): void {
  program
    .command('up')
    .description(
      'start everything here: Postgres, Redis, ingress, worker, effects, sandbox; Ctrl-C stops it',
    )
    .option('--port <number>', 'TCP port of the HTTP API (PORT)')
    .option('--ingress <count>', 'ingress processes on that port (INGRESS_PROCESSES)')
    .option('--workers <count>', 'worker processes (WORKER_PROCESSES)')
    .option('--home <directory>', 'directory of data, logs and pid files (TALLYRACE_HOME)')
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  const { PORT, INGRESS_PROCESSES, WORKER_PROCESSES, TALLYRACE_HOME } = process.env;
  const given = readConfig({
    ...process.env,
    PORT: options.port ?? PORT,
    INGRESS_PROCESSES: options.ingress ?? INGRESS_PROCESSES,
    WORKER_PROCESSES: options.workers ?? WORKER_PROCESSES,
    TALLYRACE_HOME: options.home ?? TALLYRACE_HOME,
  });
  const config = { ...given, port: given.port || (await findFreePort()) };
  const say = (line: string): void => console.log(`· ${line}`);
  const supervisor = new Supervisor(config, say);
  let stopped = false;
  const stop = stopSignal().then(() => {
    stopped = true;
    console.log('\n· stopping');
    endWithin(STOP_WITHIN_MS);
    return supervisor.stop();
  });
  try {
    const starting = supervisor.start();
    // From the first moment, since the signal would end a process that does not expect it.
    restartOnSignal(homeAt(config.home), () => starting.then(() => supervisor.restart()), say);
    const started = await starting;
    if (!stopped) await present(started);
  } catch (error) {
    // Stopped in the middle of the start: what failed then failed because of that.
    if (!stopped) throw error;
  }
  await stop;
  console.log('· stopped; the data stays in', config.home);
  process.exit(0);
}

async function present({ url, key, home, sandbox }: Started): Promise<void> {
  const shown = await takeTour(url, key);
  const calls = shown.map(
    ({ says, curl, answer }, index) => `${index + 1}. ${says}\n\n  ${curl}\n\n  ${answer}\n`,
  );
  console.log(`
Tallyrace runs at ${url}

  API reference  ${url}/docs
  Metrics        ${url}/metrics
  Demo key       ${key}
                 (every scope; no limit on redemptions and partner set-up; in ${home.demoKey})
  Payments       ${whereTo(sandbox)}
  Logs           ${home.logs}

${calls.join('\n')}
Ctrl-C stops everything.`);
}

function whereTo(sandbox: Started['sandbox']): string {
  if (!sandbox) return 'go to Stripe and Razorpay';
  return `go to sandbox gateways (${sandbox.control}); SANDBOX=off for real ones`;
}
