#include "raylet/node/host_leases.h"

#include "base/log.h"

namespace raylet {

Result<void> HostLeases::JoinCluster() {
  auto page = LeasePage::Make(readers_);
  if (!page) return Fail(std::move(page).error());
  page_ = *std::move(page);
  return {};
}

void HostLeases::Vouched(const NodeId& home, TimePoint until) {
  const auto word = until == TimePoint() ? leases_.End(home) : leases_.Renew(home, until);
  if (word) page_.Write(word->lease, word->until);
}

void HostLeases::Begin(const NodeId& home) {
  const auto word = leases_.Begin(home);
  if (word.lease == kNoLeaseLeft)
    RAYLET_LOG(kError, "actors of ", home.hex(), " do not serve here: more than ", kLeasesMax,
               " machines have actors here");
  page_.Write(word.lease, word.until);
}

}  // namespace raylet
