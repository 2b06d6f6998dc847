-- The application writes outcomes, entries and balances by ledger_write alone, which runs as their
-- owner: what the application may not do by itself, no mistake in it can do.
revoke insert on outcomes, entries from tallyrace_app;
revoke insert, update on balances from tallyrace_app;
