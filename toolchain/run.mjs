// Runs one of our scripts under the pinned Bun: `node toolchain/run.mjs <script> [arguments]`.
// Needs Node 20 with npm and nothing else, or that very Bun. Gets Bun and the packages by their
// lockfiles when they are missing or have changed; otherwise it only starts the script.
// Invariant: the script runs under exactly the pinned version, with the packages of bun.lock.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const toolchain = dirname(fileURLToPath(import.meta.url));
const root = dirname(toolchain);
const pinned = JSON.parse(readFileSync(join(toolchain, 'package.json'), 'utf8')).devDependencies
  .bun;
const forwarded = ['SIGINT', 'SIGTERM'];
const LOOK_FOR_PARENT_MS = 1_000;

main();

function main() {
  const [script, ...args] = process.argv.slice(2);
  if (!script) stop('say which script to run: node toolchain/run.mjs <script> [arguments]', 64);
  const bun = pinnedBun();
  installPackages(bun);
  const child = spawn(bun, [script, ...args], { stdio: 'inherit' });
  for (const signal of forwarded) process.on(signal, () => child.kill(signal));
  stopWithNpm(child);
  child.once('error', (error) => stop(`Bun does not start: ${error.message}`, 69));
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const each of forwarded) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}

/** npm that is killed cannot pass its end on; what it started would stay behind unseen. */
function stopWithNpm(child) {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const look = () => process.ppid !== parent && child.kill('SIGTERM');
  setInterval(look, LOOK_FOR_PARENT_MS).unref();
}

function pinnedBun() {
  if (process.versions.bun === pinned) return process.execPath;
  const remembered = join(toolchain, 'node_modules', '.bun-path');
  if (existsSync(remembered)) {
    const [version, path] = readFileSync(remembered, 'utf8').split('\n');
    if (version === pinned && existsSync(path)) return path;
  }
  const installed = versionOf('bun') === pinned ? 'bun' : fetchBun();
  mkdirSync(dirname(remembered), { recursive: true });
  if (installed !== 'bun') writeFileSync(remembered, `${pinned}\n${installed}`);
  return installed;
}

/** The `bun` package leaves choosing the binary to its install script, which npm may not run. */
function fetchBun() {
  say(`Getting Bun ${pinned} …`);
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = spawnSync('npm', ['ci', '--prefix', toolchain, ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0)
    stop(
      `Bun ${pinned} could not be fetched. Is this machine online, its npm registry reachable? ` +
        `It also works with Bun ${pinned} on the PATH.`,
      69,
    );
  const packages = join(toolchain, 'node_modules', '@oven');
  // The plain build before `-baseline`, for processors without AVX2, and `-musl`, for Alpine: the
  // first that runs here is right.
  const found = readdirSync(packages)
    .sort((a, b) => a.length - b.length)
    .map((name) => join(packages, name, 'bin', 'bun'))
    .find((path) => versionOf(path) === pinned);
  if (!found) stop(`there is no Bun ${pinned} for ${process.platform}-${process.arch}`, 69);
  return found;
}

function versionOf(bun) {
  return spawnSync(bun, ['--version']).stdout?.toString().trim() ?? '';
}

function installPackages(bun) {
  const stamp = join(root, 'node_modules', '.installed');
  const wanted = createHash('sha256').update(`${pinned} ${process.platform} ${process.arch}`);
  for (const file of ['package.json', 'bun.lock']) wanted.update(readFileSync(join(root, file)));
  const hash = wanted.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  say('Installing the packages …');
  const done = spawnSync(bun, ['install', '--frozen-lockfile'], { cwd: root, encoding: 'utf8' });
  if (done.status !== 0)
    stop(
      `the packages could not be installed:\n${done.stderr}${done.error?.message ?? ''}\n` +
        'Is this machine online? If package.json was edited, run "bun install" to update bun.lock.',
      69,
    );
  writeFileSync(stamp, hash);
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function stop(line, code) {
  say(line);
  process.exit(code);
}
