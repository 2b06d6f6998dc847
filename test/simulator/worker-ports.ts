// The engine's ports for one simulated worker: the same calls as in production, each over a link
// that may fail, to the models of Redis and Postgres.
// Invariant: what a call carries is what it was when it was made.
import type { BalanceChange } from '../../src/cache/balances.ts';
import type { BatchItem, BatchPlan } from '../../src/ledger/batch.ts';
import type { LeaseStore } from '../../src/store/leases.ts';
import type { StreamStep, WrittenBalance } from '../../src/store/writer.ts';
import { decodeEntry } from '../../src/stream/codec.ts';
import type { EnginePorts } from '../../src/stream/engine.ts';
import type {
  BalanceStore,
  Conclusion,
  EventAppender,
  StreamEntry,
  StreamStore,
} from '../../src/stream/ports.ts';
import { partitionOf } from '../../src/stream/topology.ts';
import { type SentWrite, StoreFault, sendable } from './ledger.ts';
import type { Answer, Link } from './link.ts';
import { load } from './load.ts';
import type { Simulation } from './simulate.ts';
import type { Process } from './scheduler.ts';
import { type PlannedEvent, simulatedRules } from './traffic.ts';

/** As the clients of src/io/redis.ts have them. */
const COMMAND_DEADLINE_MS = 2_000;
const BLOCKING_DEADLINE_MS = 10_000;
const LEASE_MS = 1_000;
/** As the connections of src/io/postgres.ts have them. */
const LOCK_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;

export class WorkerPorts {
  private readonly redis: Link;
  private readonly reader: Link;
  private readonly postgres: Link;

  constructor(
    private readonly simulation: Simulation,
    private readonly process: Process,
    private readonly instance: string,
  ) {
    const { redisServer, postgresServer } = simulation;
    this.redis = simulation.link(process, redisServer, COMMAND_DEADLINE_MS);
    this.reader = simulation.link(process, redisServer, BLOCKING_DEADLINE_MS);
    this.postgres = simulation.link(process, postgresServer, null);
  }

  all(): Omit<EnginePorts, 'world'> {
    const { ledger } = this.simulation;
    return {
      streams: this.streams(),
      ledger: {
        load: (request) => load(request, ledger, (ask) => this.query('load', ask)),
        write: (plan, steps) => this.write(plan, steps),
        faultOf: (error) => (error instanceof StoreFault ? error.fault : 'infrastructure'),
      },
      leases: this.leases(),
      balances: this.balances(),
      // Its rules keep no entities.
      records: { changed: () => Promise.resolve() },
      deferred: { due: (streams, limit) => this.due(streams, limit) },
      outbox: this.outbox(),
      appender: this.appender(),
      rules: simulatedRules,
    };
  }

  private streams(): StreamStore {
    const { redis } = this.simulation;
    const { name } = this.process;
    return {
      ensureGroup: ({ partition }) => this.ask('ensureGroup', () => redis.ensureGroup(partition)),
      readNew: (streams, { count, blockMs }) =>
        this.read(
          streams.map(({ partition }) => partition),
          count,
          blockMs,
        ),
      claim: ({ partition }, cursor) =>
        this.ask('claim', () => redis.claim(partition, cursor, name)),
      conclude: (conclusions) => this.conclude(conclusions),
      trim: ({ partition }) => this.ask('trim', () => redis.trim(partition)),
      raiseOffset: ({ partition }, settled) =>
        this.ask('raiseOffset', () => redis.raiseOffset(partition, settled)),
    };
  }

  private read(partitions: readonly number[], count: number, blockMs: number) {
    const { redis, scheduler } = this.simulation;
    return this.reader.call<readonly (readonly StreamEntry[])[]>('read', (answer) => {
      const deliver = (found: StreamEntry[][]): void => {
        callOff();
        answer.value(found);
      };
      let callOff = (): void => {};
      try {
        const { name: consumer } = this.process;
        const leave = redis.read({ partitions, count, consumer, deliver });
        if (!leave) return;
        callOff = scheduler.after(blockMs, null, () => {
          leave();
          answer.value(partitions.map(() => []));
        });
        return () => {
          leave();
          callOff();
        };
      } catch (error) {
        answer.error(error as Error);
      }
    });
  }

  private conclude(conclusions: readonly Conclusion[]): Promise<void> {
    const { redis } = this.simulation;
    const commands = conclusions.flatMap((conclusion) => [
      () => redis.announce(conclusion.stream, conclusion.announced),
      () => redis.acknowledge(conclusion),
    ]);
    return this.redis.call<void>('conclude', (answer) => {
      for (const command of commands.slice(0, Math.ceil(commands.length * answer.share))) command();
      answer.value();
    });
  }

  private balances(): BalanceStore {
    const { redis } = this.simulation;
    const put = (part: BalanceChange[]): Promise<void> => this.ask('put', () => redis.put(part));
    return {
      expireAll: () => this.ask('expireAll', () => redis.cache.expireAll()),
      async put(changes) {
        const parts = new Map<number, BalanceChange[]>();
        for (const change of changes) {
          const partition = partitionOf(change.tenant, change.account);
          parts.set(partition, [...(parts.get(partition) ?? []), change]);
        }
        await Promise.all([...parts.values()].map((part) => put(part)));
      },
    };
  }

  private appender(): EventAppender {
    const { redis } = this.simulation;
    return {
      append: (_topic, partition, bytes) => {
        const blob = Buffer.from(bytes);
        const events = decodeEntry(blob).map(plannedOf);
        const rest = { blob, damage: 'none' as const, settled: 0 };
        return this.ask('append', () => redis.append(partition, events, rest));
      },
      drain: () => Promise.resolve(),
    };
  }

  private leases(): LeaseStore {
    const { ledger } = this.simulation;
    const { name } = this.process;
    const { instance } = this;
    return {
      renew: (starting) =>
        this.query('renew', () => ledger.renew(name, instance, LEASE_MS, starting)),
      acquire: (stream) => {
        let alive: string[] = [];
        return this.locked('acquire', [stream], {
          begin: () => (alive = ledger.alive()),
          commit: () => ledger.acquire(stream, name, alive),
        });
      },
      release: (streams) => {
        const names = streams.map((stream) => stream.name);
        const given = streams.map((stream) => ({ name: stream.name, epoch: stream.epoch }));
        return this.locked('release', names, { commit: () => ledger.release(given) });
      },
      leave: () => this.query('leave', () => ledger.leave(name, instance)),
    };
  }

  private outbox(): EnginePorts['outbox'] {
    const { ledger } = this.simulation;
    return {
      waiting: (limit) =>
        this.query('waiting', () =>
          [...ledger.outbox.values()].slice(0, limit).map(({ id, eventId, type, data }) => {
            return { id, tenant: 1, eventId, type, acceptedAt: 0, traceparent: null, data };
          }),
        ),
      relayed: (ids) =>
        this.query('relayed', () => {
          for (const id of ids) ledger.outbox.delete(id);
        }),
    };
  }

  private due(streams: readonly string[], limit: number): Promise<BatchItem[]> {
    const { ledger } = this.simulation;
    return this.query('due', () =>
      ledger.due(streams, limit).map(({ item, attempts }) => ({ ...item, attempts })),
    );
  }

  private async write(plan: BatchPlan, steps: readonly StreamStep[]): Promise<WrittenBalance[]> {
    const { ledger, chance } = this.simulation;
    const slots = plan.state.touched();
    const sent: SentWrite = sendable(plan, steps, chance);
    const names = steps.map(({ stream }) => stream);
    const written = await this.locked('write', names, {
      commit: () => {
        const rows = ledger.write(sent);
        this.simulation.see('write committed');
        return rows;
      },
    });
    this.simulation.see('write answered');
    return written.map((balance, index) => ({ slot: slots[index]!, ...balance }));
  }

  private ask<T>(call: string, command: () => T): Promise<T> {
    return this.redis.call<T>(call, (answer) => answered(answer, command));
  }

  private query<T>(call: string, statement: () => T): Promise<T> {
    return this.postgres.call<T>(call, (answer) => {
      if (answer.timesOut) return this.timeOut(answer);
      answered(answer, statement);
    });
  }

  /** A statement that waits for its rows, takes a moment, and commits. */
  private locked<T>(
    call: string,
    names: readonly string[],
    { begin, commit }: { begin?: () => void; commit: () => T },
  ): Promise<T> {
    const { scheduler, locks, chance } = this.simulation;
    return this.postgres.call<T>(call, (answer) => {
      begin?.();
      let release = (): void => {};
      let callOff = (): void => {};
      const end = (how: () => void): void => {
        how();
        callOff();
        release();
      };
      const tooLong = (): void => answer.error(new StoreFault('slow'));
      callOff = scheduler.after(LOCK_TIMEOUT_MS, null, () =>
        end(() => answer.error(new StoreFault('infrastructure'))),
      );
      release = locks.take(names, () => {
        callOff();
        const ms = answer.timesOut ? STATEMENT_TIMEOUT_MS : 0.2 + 3 * chance.next() ** 4;
        const finish = answer.timesOut ? tooLong : (): void => answered(answer, commit);
        callOff = scheduler.after(ms, null, () => end(finish));
      });
      return () => end(() => {});
    });
  }

  private timeOut<T>(answer: Answer<T>): () => void {
    const { scheduler } = this.simulation;
    return scheduler.after(STATEMENT_TIMEOUT_MS, null, () => answer.error(new StoreFault('slow')));
  }
}

function answered<T>(answer: Answer<T>, command: () => T): void {
  try {
    answer.value(command());
  } catch (error) {
    answer.error(error as Error);
  }
}

function plannedOf(event: ReturnType<typeof decodeEntry>[number]): PlannedEvent {
  const data = 'data' in event ? (event.data as Record<string, unknown>) : {};
  const { amount } = (data['amount'] ?? { amount: 0 }) as { amount: number };
  const user = String(data['user_id']);
  return { id: event.id, user, kind: data['kind'] as PlannedEvent['kind'], amount };
}
