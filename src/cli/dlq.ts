// dlq: the dead letters, which are events that no retry could settle. Browse, retry, discard.
import type { Command } from 'commander';
import {
  type DeadLetter,
  discardDeadLetters,
  listDeadLetters,
  retryDeadLetters,
  showDeadLetter,
} from '../store/dead-letters.ts';
import { Failure, exitCodes } from './exit.ts';
import { actor, withRunningServers } from './servers.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function addDlq(program: Command): void {
  const verb = program.command('dlq').description('dead letters: list, show, retry, discard');
  verb
    .command('list')
    .description('newest first')
    .option('--status <status>', 'dead, retried, discarded or all', 'dead')
    .option('--before <time>', 'older than this RFC 3339 time')
    .option('--limit <n>', 'how many', '50')
    .option('--json', 'print JSON')
    .action((options: ListOptions) => list(options));
  verb
    .command('show <id>')
    .description('one dead letter, with its data')
    .action((id: string) => show(id));
  verb
    .command('retry [ids...]')
    .description('send dead letters round again')
    .option('--all', 'every dead letter')
    .action((ids: string[], { all }: { all?: boolean }) =>
      move('retried', retryDeadLetters, ids, all),
    );
  verb
    .command('discard [ids...]')
    .description('give dead letters up; they stay on record')
    .option('--all', 'every dead letter')
    .action((ids: string[], { all }: { all?: boolean }) =>
      move('discarded', discardDeadLetters, ids, all),
    );
}

interface ListOptions {
  status: string;
  before?: string;
  limit: string;
  json?: boolean;
}

async function list({ status, before, limit, json }: ListOptions): Promise<void> {
  const query = {
    status: status === 'all' ? '' : status,
    before: before === undefined ? new Date('9999-01-01') : new Date(before),
    limit: Number(limit),
  };
  if (!['', 'dead', 'retried', 'discarded'].includes(query.status))
    throw new Failure('--status is dead, retried, discarded or all', exitCodes.usage);
  if (Number.isNaN(query.before.getTime()))
    throw new Failure('--before is a time like 2026-01-31T12:00:00Z', exitCodes.usage);
  if (!Number.isInteger(query.limit) || query.limit < 1 || query.limit > 10_000)
    throw new Failure('--limit is a whole number from 1 to 10000', exitCodes.usage);
  const letters = await withRunningServers(({ sql }) => listDeadLetters(sql, query));
  if (json) console.log(JSON.stringify(letters));
  else for (const letter of letters) console.log(lineOf(letter));
}

function lineOf(letter: DeadLetter): string {
  const { id, died_at, status, tenant, type, event_id, reason, detail } = letter;
  return [id, died_at, status, tenant, type || '?', event_id, reason, detail].join('  ');
}

async function show(id: string): Promise<void> {
  checkIds([id]);
  const letter = await withRunningServers(({ sql }) => showDeadLetter(sql, id));
  if (!letter) throw new Failure(`there is no dead letter ${id}`, exitCodes.checkFailed);
  console.log(JSON.stringify(letter, null, 2));
}

async function move(
  done: string,
  act: typeof retryDeadLetters,
  ids: readonly string[],
  all: boolean | undefined,
): Promise<void> {
  if (all ? ids.length > 0 : ids.length === 0)
    throw new Failure('name ids, or --all', exitCodes.usage);
  checkIds(ids);
  const count = await withRunningServers(({ sql }) => act(sql, all ? null : ids, actor()));
  console.log(`${count} ${done}`);
  if (!all && count < ids.length)
    throw new Failure(
      'the others are not there, are not dead any more, or could not be decoded',
      exitCodes.checkFailed,
    );
}

function checkIds(ids: readonly string[]): void {
  for (const id of ids)
    if (!UUID.test(id))
      throw new Failure('an id is a UUID, as "dlq list" shows it', exitCodes.usage);
}
