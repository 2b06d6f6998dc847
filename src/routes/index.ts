// Every route of every domain, and what they need. A domain adds its line to each of the two.
import { openApiDocument } from '../http/openapi.ts';
import type { Route } from '../http/route.ts';
import { type AccountParts, accountRoutes } from './accounts.ts';
import { type EventParts, eventRoutes } from './events.ts';
import { type GameParts, gameRoutes } from './games.ts';
import { limitRoutes } from './limits.ts';
import { type OpsParts, opsRoutes } from './ops.ts';

export type RouteParts = AccountParts &
  EventParts &
  GameParts &
  Omit<OpsParts, 'document'> & { version: string };

export function allRoutes(parts: RouteParts): Route[] {
  let document: object | null = null;
  const routes: Route[] = [
    ...eventRoutes(parts),
    ...accountRoutes(parts),
    ...gameRoutes(parts),
    ...limitRoutes(parts),
    ...opsRoutes({
      ...parts,
      document: () => (document ??= openApiDocument(routes, parts.version)),
    }),
  ];
  return routes;
}
