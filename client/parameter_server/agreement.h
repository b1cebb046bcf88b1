// What the closed shards of one layout have in common, as a Resize works it out. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "client/parameter_server/messages.h"

namespace ray::ps::internal {

struct Agreement {
  uint64_t version = 0;
  std::vector<uint64_t> recent;   // gradients that all shards have; the newest ones at the end
  std::vector<uint64_t> partial;  // gradients that some of them have
  std::vector<RankState> ranks;   // behind: on all shards, so that no shard's round is complete by this alone
};

// The gradients that some shard had lately. Each of the others knows whether it has them.
std::vector<uint64_t> NewestOf(const std::vector<ClosedReply>& shards);

// Shards remember their last gradients alone. One that is missing where it was long ago counts as a gradient of all.
Agreement AgreementOf(const std::vector<ClosedReply>& shards);

}  // namespace ray::ps::internal
