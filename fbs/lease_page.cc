#include "fbs/lease_page.h"

#include <algorithm>

#include "base/strings.h"

namespace raylet {

Result<LeasePage> LeasePage::Make(UniqueFd& readers) {
  auto fd = CreateMemfd("raylet-leases", sizeof(LeaseWords), /*reserve=*/true);
  if (!fd) return Fail(std::move(fd).error());
  auto memory = Mapping::Map(fd->get(), sizeof(LeaseWords), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  auto read_only = ReopenReadOnly(fd->get());
  if (!read_only) return Fail(std::move(read_only).error());
  readers = *std::move(read_only);
  return LeasePage(*std::move(memory));
}

Result<LeasePage> LeasePage::Attach(const UniqueFd& fd) {
  auto memory = Mapping::Map(fd.get(), sizeof(LeaseWords), Mapping::Access::kReadOnly);
  if (!memory) return Fail(std::move(memory).error());
  return LeasePage(*std::move(memory));
}

void LeasePage::Write(LeaseNumber lease, TimePoint until) const {
  const auto ns = std::max<int64_t>(until.time_since_epoch().count(), 0);
  memory_.As<LeaseWords>()->until_ns[lease].store(static_cast<uint64_t>(ns), std::memory_order_relaxed);
}

Result<LeaseView> LeasePage::View(LeaseNumber lease) const {
  if (lease == 0) return LeaseView();
  if (!memory_ || lease >= kLeasesMax)
    return Fail(ErrorCode::kProtocolError, StrCat("there is no lease ", lease, " on this machine"));
  return LeaseView(&memory_.As<LeaseWords>()->until_ns[lease]);
}

}  // namespace raylet
