#include "store/state_counters.h"

#include "store/transaction.h"

namespace raylet::store {

void Count(IndexCounters& counters, EntryState state, uint64_t bytes, bool add) {
  const auto change = add ? Add : Subtract;
  switch (state) {
    case EntryState::kSealed:
      change(counters.sealed_bytes, bytes);
      change(counters.sealed_count, 1);
      break;
    case EntryState::kUnsealed:
      change(counters.unsealed_bytes, bytes);
      change(counters.unsealed_count, 1);
      break;
    case EntryState::kDeleted:
    case EntryState::kDying:
      change(counters.dying_bytes, bytes);
      change(counters.dying_count, 1);
      break;
    case EntryState::kSpilled:
      change(counters.spilled_bytes, bytes);
      change(counters.spilled_count, 1);
      break;
    case EntryState::kEmpty: break;
  }
}

}  // namespace raylet::store
