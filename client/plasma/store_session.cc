#include "client/plasma/store_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "base/waiter.h"

namespace raylet::client {

namespace {

constexpr Duration kWaitSlice = std::chrono::milliseconds(100);  // between two looks at whether waiting makes sense
constexpr Duration kSealSpin = std::chrono::microseconds(20);
constexpr int64_t kShortWaitNs = 100'000;  // recent waits below this are worth spinning for
constexpr int64_t kWaitCapNs = 4 * kShortWaitNs;

template <class Request>
Request Naming(const ObjectId& id) {
  Request request;
  request.id = std::make_unique<wire::Id20>(ToWire(id));
  return request;
}

tl::unexpected<Error> NotThere(const ObjectId& id, const std::string& socket) {
  return Fail(ErrorCode::kTimedOut, StrCat("object ", id.hex(), " was not sealed in the store at ", socket,
                                           " before the deadline: wait longer, or see whether its creator lives"));
}

}  // namespace

StoreSession::StoreSession(FrameConnection connection, const std::string& socket, Duration patience,
                           const StoreWelcome& welcome, std::unique_ptr<MappedArena> arena, MappedIndex index,
                           PinTable pins)
    : connection_(std::move(connection), socket, patience),
      arena_(std::move(arena)),
      index_(std::move(index)),
      pins_(std::move(pins)),
      client_(welcome.client),
      capacity_bytes_(welcome.capacity_bytes) {}

Result<std::shared_ptr<StoreSession>> StoreSession::Connect(const std::string& socket, const std::string& name,
                                                            Deadline deadline, bool retry, uint32_t heir,
                                                            Duration patience) {
  StoreWelcome welcome;
  auto connection = ConnectToStore(socket, name, deadline, retry, heir, welcome);
  if (!connection) return Fail(std::move(connection).error());
  auto arena =
      MappedArena::Open(std::move(welcome.arena_read_only), std::move(welcome.arena_read_write), welcome.arena_bytes);
  if (!arena) return Fail(std::move(arena).error());
  auto index = MappedIndex::Open(welcome.index.get());
  if (!index) return Fail(std::move(index).error());
  auto pins = PinTable::Open(std::move(welcome.pins), welcome.client);
  if (!pins) return Fail(std::move(pins).error());
  return std::shared_ptr<StoreSession>(new StoreSession(*std::move(connection), socket, patience, welcome,
                                                        *std::move(arena), *std::move(index), *std::move(pins)));
}

uint64_t StoreSession::free_bytes() const {
  // The three counters are not of one moment, which is good enough for a load.
  const IndexCounters& counters = index_.header().counters;
  const uint64_t used = counters.sealed_bytes.load(std::memory_order_relaxed) +
                        counters.unsealed_bytes.load(std::memory_order_relaxed) +
                        counters.dying_bytes.load(std::memory_order_relaxed);
  return capacity_bytes_ > used ? capacity_bytes_ - used : 0;
}

Result<ObjectView> StoreSession::MakeView(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                          const FoundObject& found, uint32_t slot) const {
  const auto base = arena_->ForReading();
  if (!base) return Fail(base.error());
  if (!arena_->Holds(found.offset, found.data_bytes, found.metadata_bytes)) [[unlikely]]
    return Fail(ErrorCode::kProtocolError, StrCat("the index of the store at ", connection_.socket(),
                                                  " says that object ", id.hex(), " lies outside the arena"));
  ObjectView view;
  view.session_ = self;
  view.data_ = *base + found.offset;
  view.metadata_ = *base + MetadataOffset(found.offset, found.data_bytes);
  view.data_bytes_ = found.data_bytes;
  view.metadata_bytes_ = static_cast<uint32_t>(found.metadata_bytes);
  view.slot_ = slot;
  view.id_ = id;
  return view;
}

Result<std::optional<ObjectView>> StoreSession::TryPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id) {
  StoreSession& session = *self;
  if (session.InChild()) [[unlikely]]
    return ForkGuard::Refuse(session.connection_.socket());
  for (;;) {
    const auto found = session.index_.FindSealed(id);
    if (!found) return std::nullopt;
    // The pin, a full fence, and the second look. Either the daemon sees our slot before it frees the
    // memory of a dying entry, or we see that the word has changed.
    const auto slot = session.pins_.Pin(found->entry);
    if (!slot) [[unlikely]]
      return Fail(ErrorCode::kFull, StrCat("this process holds ", kPinSlots, " objects of the store at ",
                                           session.connection_.socket(), ", which is the limit: release some"));
    if (!session.index_.StillThere(*found)) [[unlikely]] {
      session.pins_.Unpin(*slot);
      continue;
    }
    auto view = session.MakeView(self, id, *found, *slot);
    if (!view) [[unlikely]] {
      session.pins_.Unpin(*slot);
      return Fail(std::move(view).error());
    }
    return std::optional<ObjectView>(*std::move(view));
  }
}

bool StoreSession::SpinForSeal(const std::atomic<uint32_t>& seals, uint32_t seen, Deadline deadline) const {
  if (recent_wait_ns_.load(std::memory_order_relaxed) > kShortWaitNs) return false;
  return SpinUntil(Deadline::After(deadline.Left(kSealSpin)).at(),
                   [&] { return seals.load(std::memory_order_acquire) != seen; });
}

Result<ObjectView> StoreSession::WaitAndPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                            Deadline deadline, const std::function<bool()>& alive) {
  StoreSession& session = *self;
  const std::atomic<uint32_t>& seals = session.index_.SealsOf(id);
  const TimePoint start = std::chrono::steady_clock::now();
  const auto learn = [&] {
    const auto waited = (std::chrono::steady_clock::now() - start).count();
    const int64_t average = session.recent_wait_ns_.load(std::memory_order_relaxed);
    session.recent_wait_ns_.store(average + (std::min<int64_t>(waited, kWaitCapNs) - average) / 4,
                                  std::memory_order_relaxed);
  };

  bool waiting = false;  // the daemon has been told to wake us
  bool last_look = false;
  Result<ObjectView> outcome;
  for (;;) {
    // Read before the probe: a seal after the probe changes it, and the wait below returns at once.
    const uint32_t seen = seals.load(std::memory_order_acquire);
    auto view = TryPin(self, id);
    if (!view) {
      outcome = Fail(std::move(view).error());
      break;
    }
    if (view->has_value()) {
      outcome = **std::move(view);
      break;
    }
    if (last_look) break;
    if (deadline.Passed()) {
      outcome = NotThere(id, session.connection_.socket());
      break;
    }
    if (alive && !alive()) {
      outcome = Fail(ErrorCode::kCancelled, StrCat("waiting for object ", id.hex(), " was given up by its waiter"));
      last_look = true;  // objects sealed before the daemon's end count
      continue;
    }
    if (session.connection_.PeerGone()) {
      outcome = session.connection_.Gone();
      last_look = true;
      continue;
    }
    if (!waiting) {
      if (session.SpinForSeal(seals, seen, deadline)) continue;
      session.pins_.AddWaiter();  // then once more through the loop: the probe comes after it
      waiting = true;
      continue;
    }
    FutexWait(&seals, seen, deadline.Left(kWaitSlice));
  }
  if (waiting) session.pins_.RemoveWaiter();
  learn();
  return outcome;
}

Result<ObjectWriter> StoreSession::Create(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                          uint64_t data_bytes, std::span<const std::byte> metadata,
                                          const CreateOptions& options) {
  StoreSession& session = *self;
  auto request = Naming<wire::CreateRequestT>(id);
  request.data_bytes = data_bytes;
  request.metadata_bytes = metadata.size();
  request.evict_if_full = options.evict_if_full;
  request.owned = options.owned;
  request.owner = options.owner;
  request.timeout_ms = options.timeout_ms;
  const auto reply = session.connection_.Call<wire::CreateReplyT>(
      wire::StoreMessage::Create, request, wire::StoreMessage::CreateReply, session.CreatePatience(options.timeout_ms));
  if (!reply) {
    // A late reply would leave an object that nobody seals.
    if (reply.error().code == ErrorCode::kTimedOut) session.AbortAsync(id);
    return Fail(reply.error());
  }
  if (const auto status = FromStatus(*reply->status); !status) return Fail(status.error());

  ObjectWriter writer;  // from here on an early return aborts
  writer.session_ = self;
  writer.slot_ = kNoSlot;
  writer.id_ = id;
  const auto base = session.arena_->ForWriting();
  if (!base) return Fail(base.error());
  if (!session.arena_->Holds(reply->offset, data_bytes, metadata.size()))
    return Fail(ErrorCode::kProtocolError, StrCat("the store at ", session.connection_.socket(), " placed object ",
                                                  id.hex(), " outside the arena"));
  writer.data_ = *base + reply->offset;
  writer.metadata_ = *base + MetadataOffset(reply->offset, data_bytes);
  writer.data_bytes_ = data_bytes;
  writer.metadata_bytes_ = static_cast<uint32_t>(metadata.size());
  if (!metadata.empty()) std::memcpy(writer.metadata_, metadata.data(), metadata.size());
  // Pinned while unsealed: entries never move, so that the pin holds through the seal without a
  // gap.
  if (const auto found = session.index_.Find(id, EntryState::kUnsealed); found && found->offset == reply->offset)
    writer.slot_ = session.pins_.Pin(found->entry).value_or(kNoSlot);
  return writer;
}

Duration StoreSession::CreatePatience(int64_t timeout_ms) const {
  constexpr int64_t kLongestMs = int64_t{1} << 40;
  if (timeout_ms < 0 || timeout_ms > kLongestMs) return Duration::max();
  return connection_.patience() + std::chrono::milliseconds(timeout_ms);
}

Result<void> StoreSession::Seal(const ObjectId& id) {
  return connection_.Ask(wire::StoreMessage::Seal, Naming<wire::IdRequestT>(id), connection_.patience());
}

Result<void> StoreSession::SealAsync(const ObjectId& id) {
  return connection_.Tell(wire::StoreMessage::Seal, Naming<wire::IdRequestT>(id));
}

Result<void> StoreSession::Abort(const ObjectId& id) {
  return connection_.Ask(wire::StoreMessage::Abort, Naming<wire::IdRequestT>(id), connection_.patience());
}

void StoreSession::AbortAsync(const ObjectId& id) {
  // Without a daemon there is nothing to abort.
  (void)connection_.Tell(wire::StoreMessage::Abort, Naming<wire::IdRequestT>(id));
}

void StoreSession::DeleteAsync(const ObjectId& id) {
  wire::IdsRequestT request;
  request.ids.push_back(ToWire(id));
  (void)connection_.Tell(wire::StoreMessage::Delete, request);  // as above
}

Result<ObjectView> StoreSession::ViewOfSealed(ObjectWriter&& writer) {
  const std::shared_ptr<StoreSession> session = writer.session_;
  const uint32_t slot = std::exchange(writer.slot_, kNoSlot);
  if (slot == kNoSlot) return WaitAndPin(session, writer.id_, Deadline::AfterMs(0), {});
  const auto base = session->arena_->ForWriting();
  if (!base) return Fail(base.error());
  FoundObject found;
  found.offset = static_cast<uint64_t>(writer.data_ - *base);
  found.data_bytes = writer.data_bytes_;
  found.metadata_bytes = writer.metadata_bytes_;
  auto view = session->MakeView(session, writer.id_, found, slot);
  if (!view) session->Unpin(slot);
  return view;
}

}  // namespace raylet::client
