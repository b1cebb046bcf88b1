#include "store/put_rings.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/bell.h"
#include "base/strings.h"
#include "base/waiter.h"
#include "store/transaction.h"

namespace raylet::store {
namespace {

constexpr uint32_t kPostsPerLook = 64;
constexpr Duration kSpinMax = std::chrono::microseconds(50);    // after the last post
constexpr Duration kSpinSlice = std::chrono::microseconds(10);  // between two looks at the sockets
// As in base/waiter.cc: spins that end in a sleep take a tenth of a core at most.
constexpr int kSpinsPerShortGap = 10, kAverageWeight = 8;
constexpr uint64_t kShareOfCapacity = 16;

// A ring has two descriptors, as a session does, and sessions come first.
bool HasDescriptorsForARing(size_t rings, size_t clients) {
  constexpr size_t kMost = 1024, kShareOfDescriptors = 32, kOthers = 128;
  rlimit limit{};
  if (rings >= kMost || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  return rings < limit.rlim_cur / kShareOfDescriptors && 2 * (rings + clients + 1) + kOthers < limit.rlim_cur;
}

}  // namespace

PutRings::PutRings(Loop& loop, ObjectStore& store, uint64_t capacity_bytes)
    : loop_(loop),
      store_(store),
      leases_(store.arena(), capacity_bytes / kShareOfCapacity),
      turns_(loop, [this] { BusyTurn(); }) {
  store_.OnNoRoom([this] {
    const bool any = leases_.TakeBack();
    CountLeases();
    return any;
  });
}

PutRings::~PutRings() { store_.OnNoRoom({}); }

Result<PutRings::Opened> PutRings::Open(uint32_t client, uint64_t frames) {
  Remove(client);  // one that asks again does not use its last ring
  if (!HasDescriptorsForARing(rings_.size(), store_.clients().size()))
    return Fail(ErrorCode::kLimit, StrCat("this plasma_store has ", rings_.size(), " rings for small puts, the most ",
                                          "that its descriptor limit allows: start it with a higher ulimit -n"));
  auto ring = std::make_unique<OfClient>();
  ring->client = client;
  ring->frames = frames;
  auto memory = CreateMemfd(StrCat("plasma-puts-", client), PutPageBytes(), /*reserve=*/false);
  if (!memory) return Fail(std::move(memory).error());
  ring->memory_fd = *std::move(memory);
  auto mapping = Mapping::Map(ring->memory_fd.get(), PutPageBytes(), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(std::move(mapping).error());
  ring->memory = *std::move(mapping);
  auto bell = Bell::NewEvent();
  if (!bell) return Fail(std::move(bell).error());
  ring->bell = *std::move(bell);
  const std::span<std::byte> bytes(ring->memory.data(), PutPageBytes());
  InitPutPage(bytes, client);
  auto posts = PutPosts::Attach(store_, leases_, client, bytes);
  if (!posts) return Fail(std::move(posts).error());
  ring->posts = *std::move(posts);
  OfClient* const opened = ring.get();
  ring->rung = FdWatcher(loop_, ring->bell.get(), [this, opened](FdWatcher::Events) { Rung(*opened); });
  ring->rung.Watch({.readable = true});
  store_.EndWriting(client);  // it asks for a ring only when it does not use the last server's
  leases_.AddClient(client, &ring->posts->page());
  SayDaemonSleeps(ring->posts->page(), true);
  rings_[client] = std::move(ring);
  return Opened{opened->memory_fd.get(), opened->bell.get()};
}

void PutRings::Rung(OfClient& ring) {
  uint64_t rings = 0;
  static_cast<void>(::read(ring.bell.get(), &rings, sizeof rings));  // only resets it
  if (!std::exchange(ring.watched, true)) hot_.push_back(&ring);
  if (!std::exchange(busy_, true)) turns_.Start();
  CarryOut(ring, kPostsPerLook);
}

Result<uint32_t> PutRings::CarryOutNow(OfClient& ring, uint32_t most, bool last_try) {
  const bool waited = ring.posts->waits();
  auto carried =
      ring.posts->CarryOut(most, ring.frames, last_try ? std::function<PutPosts::WhenFull(uint64_t)>() : when_full_);
  const bool waits = ring.posts->waits();
  if (waits != waited) waiting_ = waits ? waiting_ + 1 : waiting_ - 1;
  // Another post than before has its own time.
  const bool another = waits && carried && *carried > 0;
  if ((waits != waited || another) && on_waits_) on_waits_(ring.client, waits);
  return carried;
}

bool PutRings::Waits(uint32_t client) const {
  const auto it = rings_.find(client);
  return it != rings_.end() && it->second->posts->waits();
}

void PutRings::ServeWaiting(const std::function<bool(uint32_t client)>& last_try) {
  if (waiting_ == 0) return;
  std::vector<uint32_t> clients;
  for (const auto& [client, ring] : rings_)
    if (ring->posts->waits()) clients.push_back(client);
  for (const uint32_t client : clients) {
    const auto it = rings_.find(client);
    if (it == rings_.end()) continue;
    const auto carried = CarryOutNow(*it->second, kPostsMax, last_try(client));
    if (carried && *carried == 0) continue;
    it->second->posts->Answer();
    if (!carried && on_broken_) on_broken_(client, carried.error());
  }
}

uint32_t PutRings::CarryOut(OfClient& ring, uint32_t most) {
  if (ring.posts->waits()) return 0;  // until ServeWaiting
  const auto carried = CarryOutNow(ring, most, /*last_try=*/false);
  const bool any = !carried || *carried > 0;
  if (!any) return 0;
  const TimePoint now = std::chrono::steady_clock::now();
  recent_gap_ +=
      (std::min<Duration>(now - last_post_, kSpinMax * kSpinsPerShortGap * 5) - recent_gap_) / kAverageWeight;
  last_post_ = now;
  ring.posts->Answer();
  const uint32_t client = ring.client;
  if (!carried && on_broken_) on_broken_(client, carried.error());
  if (on_carried_out_) on_carried_out_();
  return carried.value_or(0);
}

void PutRings::Heard(uint32_t client, uint64_t frames) {
  const auto it = rings_.find(client);
  if (it == rings_.end()) return;
  it->second->frames = frames;
  CarryOut(*it->second, kPostsMax);
}

bool PutRings::LookAtAll() {
  uint32_t carried = 0;
  for (OfClient* const ring : hot_)
    if (!ring->posts->Empty() && !ring->posts->waits()) carried += CarryOut(*ring, kPostsPerLook);
  return carried > 0;
}

void PutRings::BusyTurn() {
  const TimePoint now = std::chrono::steady_clock::now();
  const bool soon = recent_gap_ < kSpinMax * kSpinsPerShortGap && now - last_post_ < kSpinMax;
  if (soon) {
    SpinUntil(now + kSpinSlice, [this] { return LookAtAll(); });
  } else if (!LookAtAll()) {
    Sleep();
  }
}

void PutRings::Sleep() {
  for (OfClient* const ring : hot_) SayDaemonSleeps(ring->posts->page(), true);
  if (LookAtAll()) {  // rings may be quiet, or say that the daemon sleeps: a bell too many does no harm
    return;
  }
  for (OfClient* const ring : hot_) ring->watched = false;
  hot_.clear();
  busy_ = false;
  turns_.Stop();
}

void PutRings::Remove(uint32_t client) {
  const auto it = rings_.find(client);
  if (it == rings_.end()) return;
  OfClient& ring = *it->second;
  // What it posted before its end counts, but for what waits for a message that never came.
  static_cast<void>(CarryOutNow(ring, kPostsMax, /*last_try=*/true));
  std::erase(hot_, &ring);
  const Transaction transaction(store_.counters(), store_.arena());
  leases_.RemoveClient(client);
  CountLeases();
  rings_.erase(it);
}

}  // namespace raylet::store
