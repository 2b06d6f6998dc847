-- What a call's next try has to know of those before it: that it is decided and only to be told, or
-- which of its keys are spent. Null for nearly all.
alter table effects add column memory jsonb;
