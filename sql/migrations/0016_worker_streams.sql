-- Which streams a worker takes, so that some may be given to workers of their own. Null: all, as of
-- a release that takes them all.

alter table workers add column streams text[];
