#include "client/parameter_server/agreement.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace ray::ps::internal {

std::vector<uint64_t> NewestOf(const std::vector<ClosedReply>& shards) {
  std::set<uint64_t> newest;
  for (const ClosedReply& shard : shards) newest.insert(shard.newest.begin(), shard.newest.end());
  return {newest.begin(), newest.end()};
}

Agreement AgreementOf(const std::vector<ClosedReply>& shards) {
  Agreement agreement;
  std::set<uint64_t> any;
  std::vector<uint64_t> all;
  for (const ClosedReply& shard : shards) {
    agreement.version = std::max(agreement.version, shard.version);
    any.insert(shard.recent.begin(), shard.recent.end());
    std::vector<uint64_t> sorted = shard.recent, both;
    std::sort(sorted.begin(), sorted.end());
    if (&shard == &shards.front()) {
      all = std::move(sorted);
      agreement.ranks = shard.ranks;
    } else {
      std::set_intersection(all.begin(), all.end(), sorted.begin(), sorted.end(), std::back_inserter(both));
      all = std::move(both);
      for (size_t rank = 0; rank < std::min(agreement.ranks.size(), shard.ranks.size()); ++rank) {
        agreement.ranks[rank].clock = std::max(agreement.ranks[rank].clock, shard.ranks[rank].clock);
        agreement.ranks[rank].behind = agreement.ranks[rank].behind && shard.ranks[rank].behind;
      }
    }
  }
  const std::vector<uint64_t> newest = NewestOf(shards);
  std::vector<uint64_t> old;
  for (const uint64_t sequence : any) {
    const bool by_all = std::binary_search(all.begin(), all.end(), sequence);
    const bool is_new = std::binary_search(newest.begin(), newest.end(), sequence);
    (!is_new ? old : by_all ? agreement.recent : agreement.partial).push_back(sequence);
  }
  agreement.recent.insert(agreement.recent.begin(), old.begin(), old.end());
  return agreement;
}

}  // namespace ray::ps::internal
