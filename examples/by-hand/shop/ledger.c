/* shop's copy of a library: it starts at 0. */
#include "ledger.h"

long ledger_balance;

long
ledger_add(long amount)
{
    return ledger_balance += amount;
}
