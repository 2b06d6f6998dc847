// Coupons: terms, checks and redemptions. (The events of the domain are listed in couponEvents.)
import type { EventDefinition } from './events.ts';

export const couponEvents: readonly EventDefinition[] = [];
