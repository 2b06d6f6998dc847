// Where Redis comes from: the PATH, else the system's package manager when it may install, else one
// message that says what to type. Invariant: an installation leaves no service running.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { Unavailable } from './launch.ts';

interface PackageManager {
  command: string;
  /** Each is run in order, with sudo where needed; only the last has to succeed. */
  steps: readonly (readonly string[])[];
  needsRoot: boolean;
  /** Debian starts the service of a package that it installs. */
  startsServices?: boolean;
}

const managers: readonly PackageManager[] = [
  {
    command: 'apt-get',
    steps: [
      ['apt-get', 'update', '-qq'],
      ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'redis-server'],
    ],
    needsRoot: true,
    startsServices: true,
  },
  { command: 'dnf', steps: [['dnf', 'install', '-y', '-q', 'valkey']], needsRoot: true },
  { command: 'apk', steps: [['apk', 'add', '--quiet', 'valkey']], needsRoot: true },
  { command: 'brew', steps: [['brew', 'install', '--quiet', 'redis']], needsRoot: false },
];

const names = ['redis-server', 'valkey-server'] as const;
/** Where packages put servers that an ordinary user's PATH may not list. */
const otherDirectories = '/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin';

/** Where to look, and what may install; tests look elsewhere. */
export interface Search {
  path: string;
  afterInstall: string;
  managers: readonly PackageManager[];
}

const thisMachine = (): Search => {
  const path = process.env['PATH'] ?? '';
  return { path, afterInstall: `${path}:${otherDirectories}`, managers };
};

export function findRedis(say: (line: string) => void, search: Search = thisMachine()): string {
  const found = onPath(search.path);
  if (found) return found;
  install(search.managers, say);
  const installed = onPath(search.afterInstall);
  if (installed) return installed;
  throw new Unavailable(advice());
}

/** The first server on the path that is new enough; one that is too old says so. */
function onPath(path: string): string | null {
  const tooOld: string[] = [];
  for (const name of names) {
    const binary = Bun.which(name, { PATH: path });
    if (!binary) continue;
    const version = versionOf(binary);
    if (isNewEnough(name, version)) return binary;
    tooOld.push(`${binary} is version ${version || 'unknown'}`);
  }
  if (tooOld.length > 0)
    throw new Unavailable(`${tooOld.join('; ')}. Redis 7.0 or Valkey 8 or later is needed.`);
  return null;
}

function versionOf(binary: string): string {
  const output = spawnSync(binary, ['--version']).stdout?.toString() ?? '';
  return /v=(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? '';
}

export function isNewEnough(name: string, version: string): boolean {
  const major = Number(version.split('.')[0]);
  return major >= (name.startsWith('valkey') ? 8 : 7);
}

function install(known: readonly PackageManager[], say: (line: string) => void): void {
  const manager = known.find(({ command }) => Bun.which(command));
  const sudo = manager?.needsRoot ? privilege() : [];
  if (!manager || !sudo) return;
  say(`Redis is not installed; installing it with ${manager.command} …`);
  const runSteps = (): void => {
    for (const step of manager.steps) {
      const [command, ...args] = [...sudo, ...step];
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      const done = spawnSync(command!, args, { env, timeout: 300_000 });
      if (done.status !== 0) say(`  ${step.join(' ')}: ${firstLine(done.stderr)}`);
    }
  };
  if (manager.startsServices) withoutServices(sudo, runSteps);
  else runSteps();
}

/** How to run a command as root without being asked; null when that is not possible. */
function privilege(): string[] | null {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : null;
}

/** No service is started while this file forbids it. */
function withoutServices(sudo: string[], work: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  const isRoot = sudo.length === 0;
  const forbids = isRoot && !existsSync(policy);
  if (forbids) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    work();
  } finally {
    if (forbids) rmSync(policy, { force: true });
  }
  // Where it could not be forbidden, and at the next boot.
  if (!Bun.which('systemctl')) return;
  const [command, ...args] = [...sudo, 'systemctl', 'disable', '--now', 'redis-server'];
  spawnSync(command!, args, { timeout: 30_000 });
}

function advice(): string {
  const how =
    process.platform === 'darwin'
      ? 'brew install redis'
      : Bun.which('dnf')
        ? 'sudo dnf install valkey'
        : Bun.which('apk')
          ? 'sudo apk add valkey'
          : 'sudo apt-get install redis-server';
  return (
    `Redis is missing. Type:\n\n  ${how}\n\nand start again, ` +
    'or set REDIS_URL to a server of your own (Redis 7.0 or Valkey 8, or later).'
  );
}

function firstLine(output: Buffer | null): string {
  return output?.toString().trim().split('\n')[0] ?? 'failed';
}
