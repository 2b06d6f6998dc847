// Which tenant has which gateways, followed in memory; their secrets, read when they are needed.
// Invariant: secrets are kept no longer than the version of the account they belong to.
import { gatewayNames, type GatewayName } from '../../schemas/payments.ts';
import type { Sql } from '../io/postgres.ts';
import { type Follower, followDocuments } from '../store/documents.ts';
import {
  type AccountBody,
  type AccountSecrets,
  GATEWAYS_KIND,
  readSecrets,
} from '../store/gateway-accounts.ts';
import type { Vault } from '../store/secrets.ts';

/** Whose webhooks come to an address, and what they may be signed with, the present secret first. */
export interface Endpoint {
  tenant: number;
  gateway: GatewayName;
  secrets: readonly string[];
}

interface Account {
  tenant: number;
  gateway: GatewayName;
  endpoint: string;
  /** Null until asked for, and again after a failure. */
  secrets: Promise<AccountSecrets | null> | null;
}

export class GatewayAccounts {
  private readonly accounts = new Map<string, Account>();
  private readonly byEndpoint = new Map<string, Account>();
  private readonly follower: Follower;

  constructor(
    private readonly sql: Sql,
    /** Null: no key of secrets is set, so there are no accounts. */
    private readonly vault: Vault | null,
    onError: (error: unknown) => void,
  ) {
    this.follower = followDocuments(sql, GATEWAYS_KIND, {
      onError,
      onChanges: (changes) => {
        for (const { tenant, key, body } of changes)
          this.take(tenant, key as GatewayName, body as AccountBody);
      },
    });
  }

  get ready(): Promise<void> {
    return this.follower.ready;
  }

  /** Resolves when every change that was committed before the call is known. */
  refresh(): Promise<void> {
    return this.follower.refresh();
  }

  stop(): Promise<void> {
    return this.follower.stop();
  }

  namesOf(tenant: number): GatewayName[] {
    return gatewayNames.filter((name) => this.accounts.has(idOf(tenant, name)));
  }

  async secretsOf(tenant: number, gateway: GatewayName): Promise<AccountSecrets | null> {
    const account = this.accounts.get(idOf(tenant, gateway));
    return account ? await this.read(account) : null;
  }

  async endpointOf(endpoint: string): Promise<Endpoint | null> {
    const account = this.byEndpoint.get(endpoint);
    const secrets = account && (await this.read(account));
    if (!account || !secrets) return null;
    const { tenant, gateway } = account;
    const { webhookSecret, previousWebhookSecret: previous } = secrets;
    const isValid = previous !== null && Date.parse(previous.until) > Date.now();
    const valid = isValid ? [webhookSecret, previous.secret] : [webhookSecret];
    return { tenant, gateway, secrets: valid };
  }

  private take(tenant: number, gateway: GatewayName, { endpoint }: AccountBody): void {
    const id = idOf(tenant, gateway);
    const before = this.accounts.get(id);
    if (before) this.byEndpoint.delete(before.endpoint);
    this.accounts.delete(id);
    if (endpoint === '') return;
    const account: Account = { tenant, gateway, endpoint, secrets: null };
    this.accounts.set(id, account);
    this.byEndpoint.set(endpoint, account);
  }

  private async read(account: Account): Promise<AccountSecrets | null> {
    if (!this.vault) return null;
    account.secrets ??= readSecrets(this.sql, this.vault, account.tenant, account.gateway);
    try {
      return await account.secrets;
    } catch (error) {
      account.secrets = null;
      throw error;
    }
  }
}

function idOf(tenant: number, gateway: GatewayName): string {
  return `${tenant} ${gateway}`;
}
