long ledger_add(long amount);
