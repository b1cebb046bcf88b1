#include "client/plasma/store_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "client/plasma/seal_wait.h"
#include "fbs/id_lists.h"

namespace raylet::client {

namespace {

constexpr Duration kParkSlice = std::chrono::milliseconds(100);  // between two looks at whether waiting makes sense
constexpr Duration kAbortPatience = std::chrono::milliseconds(100);
constexpr Duration kRecheckPatience = std::chrono::milliseconds(500);
constexpr Duration kRestorePatience = std::chrono::milliseconds(500);
constexpr Duration kEndPatience = std::chrono::milliseconds(500);
constexpr Duration kDiskPatience = std::chrono::milliseconds(500);  // of a get that does not wait
constexpr Duration kRestoreSlice = std::chrono::milliseconds(500);  // between two looks at whether waiting makes sense
constexpr Duration kRestoreMost = std::chrono::seconds(5);
constexpr Duration kRestoreAnswerPatience = std::chrono::milliseconds(250);
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
                           const StoreWelcome& welcome, std::shared_ptr<MappedArena> arena, MappedIndex index,
                           PinTable pins)
    : connection_(std::move(connection), socket, patience),
      arena_(std::move(arena)),
      index_(std::move(index)),
      pins_(std::move(pins)),
      client_(welcome.client),
      leased_writer_(connection_, *arena_, index_, pins_.page(), welcome.client),
      capacity_bytes_(welcome.capacity_bytes) {
  connection_.SetKnown({client_, &pins_.page()});
}

Result<std::shared_ptr<StoreSession>> StoreSession::Connect(const std::string& socket, const std::string& name,
                                                            Deadline deadline, bool retry, uint32_t heir,
                                                            Duration patience) {
  StoreWelcome welcome;
  auto connection = ConnectToStore(socket, {.name = name, .heir = heir}, deadline, retry, welcome);
  if (!connection) return Fail(std::move(connection).error());
  auto arena = MappedArena::Open(std::move(welcome.arena_read_only), std::move(welcome.writing), welcome.writing_offset,
                                 welcome.arena_bytes);
  if (!arena) return Fail(std::move(arena).error());
  auto index = MappedIndex::Open(welcome.index.get());
  if (!index) return Fail(std::move(index).error());
  auto pins = PinTable::Open(std::move(welcome.pins), welcome.client);
  if (!pins) return Fail(std::move(pins).error());
  return std::shared_ptr<StoreSession>(new StoreSession(*std::move(connection), socket, patience, welcome,
                                                        *std::move(arena), *std::move(index), *std::move(pins)));
}

// Writers may outlive the connection, whose end frees the memory of unsealed objects. In a child of fork() the mapping
// is not there, and something else may be.
StoreSession::~StoreSession() {
  if (!InChild() && arena_.use_count() > 1) arena_->EndWriting();
}

void StoreSession::End() {
  connection_.End();
  std::unordered_set<ObjectId> unsealed;
  {
    const MutexLock lock(mutex_);
    ended_ = true;
    unsealed.swap(unsealed_);
  }
  arena_->EndWriting();
  // Nobody else aborts these while views keep the connection.
  const Deadline deadline = Deadline::After(kEndPatience);
  for (const ObjectId& id : unsealed) AbortFinally(id, deadline);
}

Result<void> StoreSession::CheckUsable() {
  if (InChild()) [[unlikely]]
    return ForkGuard::Refuse(connection_.socket());
  if (!connection_.Usable()) [[unlikely]] {
    if (connection_.ended()) return connection_.Closed();
    auto restored = connection_.Restore(Deadline::After(kRestorePatience));
    // While no server has come yet, what lies in the store can be read.
    if (!restored && restored.error().code != ErrorCode::kTimedOut) return restored;
  }
  return {};
}

bool StoreSession::AddUnsealed(const ObjectId& id) {
  const MutexLock lock(mutex_);
  if (!ended_) unsealed_.insert(id);
  return !ended_;
}

bool StoreSession::IsUnsealed(const ObjectId& id) {
  const MutexLock lock(mutex_);
  return unsealed_.contains(id);
}

void StoreSession::RemoveUnsealed(const ObjectId& id) {
  const MutexLock lock(mutex_);
  unsealed_.erase(id);
}

uint64_t StoreSession::free_bytes() const {
  // The counters are not of one moment, which is good enough for a load.
  const IndexCounters& counters = index_.header().counters;
  const uint64_t used =
      counters.sealed_bytes.load(std::memory_order_relaxed) + counters.unsealed_bytes.load(std::memory_order_relaxed) +
      counters.dying_bytes.load(std::memory_order_relaxed) + counters.restoring_bytes.load(std::memory_order_relaxed);
  return capacity_bytes_ > used ? capacity_bytes_ - used : 0;
}

Result<PinnedObject> StoreSession::MakeView(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                            const FoundObject& found, uint32_t slot) const {
  const auto base = arena_->ForReading();
  if (!base) return Fail(base.error());
  if (!arena_->Holds(found.offset, found.data_bytes, found.metadata_bytes)) [[unlikely]]
    return Fail(ErrorCode::kProtocolError, StrCat("the index of the store at ", connection_.socket(),
                                                  " says that object ", id.hex(), " lies outside the arena"));
  PinnedObject view;
  view.session_ = self;
  view.data_ = *base + found.offset;
  view.metadata_ = *base + MetadataOffset(found.offset, found.data_bytes);
  view.data_bytes_ = found.data_bytes;
  view.metadata_bytes_ = static_cast<uint32_t>(found.metadata_bytes);
  view.slot_ = slot;
  view.id_ = id;
  return view;
}

Result<std::optional<PinnedObject>> StoreSession::TryPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                                         bool* on_disk) {
  StoreSession& session = *self;
  if (session.InChild()) [[unlikely]]
    return ForkGuard::Refuse(session.connection_.socket());
  bool rechecked = false;
  for (;;) {
    const auto found = session.FindRechecked(id, rechecked);
    if (!found) return std::nullopt;
    if (StateOf(found->word) == EntryState::kSpilled) [[unlikely]] {
      if (!session.index_.StillThere(*found)) continue;
      if (found->offset == kLostWord) return Fail(ErrorCode::kNotFound, LostText(id));
      if (on_disk != nullptr) *on_disk = true;
      return std::nullopt;
    }
    // The pin, a full fence, and the second look. Either the daemon sees our slot before it frees the
    // memory of a dying entry, or we see that the word has changed.
    const auto slot = session.pins_.Pin(found->entry);
    if (!slot) [[unlikely]]
      return session.TooManyHolds();
    if (!session.index_.StillThere(*found)) [[unlikely]] {
      session.pins_.Unpin(*slot);
      continue;
    }
    auto view = session.MakeView(self, id, *found, *slot);
    if (!view) [[unlikely]] {
      session.pins_.Unpin(*slot);
      return Fail(std::move(view).error());
    }
    return std::optional<PinnedObject>(*std::move(view));
  }
}

tl::unexpected<Error> StoreSession::TooManyHolds() const {
  return Fail(ErrorCode::kLimit, StrCat("this process holds ", kPinSlots, " objects of the store at ",
                                        connection_.socket(), ", the most of one connection: release some"));
}

void StoreSession::LearnWait(TimePoint start) {
  const auto waited = (std::chrono::steady_clock::now() - start).count();
  const int64_t average = recent_wait_ns_.load(std::memory_order_relaxed);
  recent_wait_ns_.store(average + (std::min<int64_t>(waited, kWaitCapNs) - average) / 4, std::memory_order_relaxed);
}

Result<void> StoreSession::WaitAndPin(const std::shared_ptr<StoreSession>& self, std::span<const ObjectId> ids,
                                      std::span<PinnedObject> views, Deadline deadline,
                                      const std::function<bool()>& alive) {
  StoreSession& session = *self;
  const TimePoint start = std::chrono::steady_clock::now();
  SealWait wait(session.index_);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!views[i]) wait.Add(i, ids[i]);
  }
  std::vector<ObjectId> on_disk;
  const auto pin = [&](size_t place) -> Result<bool> {
    bool spilled = false;
    auto view = TryPin(self, ids[place], &spilled);
    if (!view) return Fail(std::move(view).error());
    if (spilled) on_disk.push_back(ids[place]);
    if (view->has_value()) views[place] = **std::move(view);
    return view->has_value();
  };

  bool waiting = false;  // the daemon has been told to wake us
  bool look_at_all = true;
  bool last_look = false;
  Result<void> outcome;
  for (;;) {
    if (auto looked = wait.Look(look_at_all, pin); !looked) {
      outcome = Fail(std::move(looked).error());
      break;
    }
    look_at_all = false;
    if (wait.Empty()) {
      outcome = {};
      break;
    }
    if (last_look) break;
    if (session.connection_.ended()) {
      outcome = session.connection_.Closed();
      break;
    }
    if (!on_disk.empty()) {
      // An object that is there is given also to a caller that does not wait for seals.
      const Deadline disk_deadline = Deadline::At(std::max(deadline.at(), start + kDiskPatience));
      const bool wanted = !alive || alive();
      outcome = wanted
                    ? session.Restore(std::exchange(on_disk, {}), disk_deadline, alive ? kRestoreSlice : kRestoreMost)
                    : Result<void>();
      on_disk.clear();
      look_at_all = true;
      if (outcome && wanted) continue;
      if (!outcome && !NotAnswered(outcome.error())) break;
      if (!outcome && disk_deadline.Passed()) break;
      if (wanted && !session.connection_.PeerGone()) continue;
    }
    if (deadline.Passed()) {
      outcome = NotThere(ids[wait.first()], session.connection_.socket());
      break;
    }
    // Objects that were sealed before the end of the waiter's reason or of the daemon count.
    if (alive && !alive()) {
      outcome = Fail(ErrorCode::kCancelled,
                     StrCat("waiting for object ", ids[wait.first()].hex(), " was given up by its waiter"));
      last_look = look_at_all = true;
      continue;
    }
    if (session.connection_.PeerGone()) {
      outcome = session.connection_.Restore(Deadline::After(deadline.Left(kRestorePatience)));
      look_at_all = true;
      last_look = !outcome && outcome.error().code != ErrorCode::kTimedOut;
      if (outcome || last_look) continue;
    }
    if (!waiting) {
      if (session.recent_wait_ns_.load(std::memory_order_relaxed) <= kShortWaitNs &&
          wait.Spin(Deadline::After(deadline.Left(kSealSpin))))
        continue;
      session.pins_.AddWaiter();  // then once more through the loop: the look comes after it
      waiting = look_at_all = true;
      continue;
    }
    wait.Park(deadline.Left(kParkSlice));
  }
  if (waiting) session.pins_.RemoveWaiter();
  session.LearnWait(start);
  return outcome;
}

Result<void> StoreSession::Restore(std::vector<ObjectId> ids, Deadline deadline, Duration most) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  ids.resize(std::min(ids.size(), kRestoreIdsMax));
  const Duration slice = deadline.Left(most);
  wire::RestoreRequestT request;
  request.ids = ToWire(ids);
  request.timeout_ms = std::chrono::ceil<std::chrono::milliseconds>(slice).count();
  return connection_.Ask(wire::StoreMessage::Restore, request, slice + kRestoreAnswerPatience);
}

Result<ObjectWriter> StoreSession::Create(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                          uint64_t data_bytes, std::span<const std::byte> metadata,
                                          const CreateOptions& options) {
  for (;;) {
    auto writer = TryCreate(self, id, data_bytes, metadata, options);
    if (!writer) return Fail(std::move(writer).error());
    if (writer->has_value()) return **std::move(writer);
  }
}

// Nothing when the server died after its answer, and the object with it.
Result<std::optional<ObjectWriter>> StoreSession::TryCreate(const std::shared_ptr<StoreSession>& self,
                                                            const ObjectId& id, uint64_t data_bytes,
                                                            std::span<const std::byte> metadata,
                                                            const CreateOptions& options) {
  StoreSession& session = *self;
  const uint64_t restored = session.connection_.restored();
  RAYLET_RETURN_IF_ERROR(session.CheckUsable());
  SlotReservation reservation(session.pins_);
  if (!reservation) return session.TooManyHolds();
  auto request = Naming<wire::CreateRequestT>(id);
  request.data_bytes = data_bytes;
  request.metadata_bytes = metadata.size();
  request.evict_if_full = options.evict_if_full;
  request.owned = options.owned;
  request.owner = options.owner;
  request.timeout_ms = options.timeout_ms;
  const auto reply = session.connection_.Call<wire::CreateReplyT>(
      wire::StoreMessage::Create, request, wire::StoreMessage::CreateReply, session.CreatePatience(options));
  if (!reply) {
    // It waits for room no longer, and a late reply leaves no object that nobody seals.
    if (NotAnswered(reply.error())) session.AbandonCreate(id);
    return Fail(reply.error());
  }
  if (const auto status = FromStatus(*reply->status); !status) return Fail(status.error());
  if (!session.AddUnsealed(id)) {
    session.AbortFinally(id, Deadline::After(kAbortPatience));
    return session.connection_.Closed();
  }

  ObjectWriter writer;  // from here on an early return aborts
  writer.session_ = self;
  writer.arena_ = session.arena_;
  writer.slot_ = kNoSlot;
  writer.id_ = id;
  writer.evict_if_full_ = options.evict_if_full;
  writer.owned_ = options.owned;
  writer.owner_ = options.owner;
  writer.restored_ = restored;
  const auto base = session.arena_->ForWriting();
  if (!base) return Fail(base.error());
  if (!session.arena_->Holds(reply->offset, data_bytes, metadata.size()))
    return Fail(ErrorCode::kProtocolError, StrCat("the store at ", session.connection_.socket(), " placed object ",
                                                  id.hex(), " outside the arena"));
  writer.data_ = *base + reply->offset;
  writer.metadata_ = *base + MetadataOffset(reply->offset, data_bytes);
  writer.data_bytes_ = data_bytes;
  writer.metadata_bytes_ = static_cast<uint32_t>(metadata.size());
  // Pinned while unsealed: entries never move, so that the pin holds through the seal without a
  // gap. It also keeps the memory when the server dies, and another frees what is not sealed.
  const auto found = session.index_.Find(id, EntryState::kUnsealed);
  if (found && found->offset == reply->offset) {
    writer.slot_ = reservation.Pin(found->entry);
    if (!session.index_.StillThere(*found)) session.Unpin(std::exchange(writer.slot_, kNoSlot));
  }
  if (writer.slot_ == kNoSlot && (session.connection_.PeerGone() || session.connection_.restored() != restored)) {
    writer.arena_.reset();  // nothing to abort
    session.RemoveUnsealed(id);
    return std::nullopt;
  }
  if (!metadata.empty()) std::memcpy(writer.metadata_, metadata.data(), metadata.size());
  return writer;
}

Duration StoreSession::CreatePatience(const CreateOptions& options) const {
  constexpr int64_t kLongestMs = int64_t{1} << 40;
  if (options.timeout_ms < 0 || options.timeout_ms > kLongestMs) return Duration::max();
  return std::min(connection_.patience(), options.answer_patience) + std::chrono::milliseconds(options.timeout_ms);
}

Result<void> StoreSession::Seal(const ObjectId& id) {
  RemoveUnsealed(id);
  RAYLET_RETURN_IF_ERROR(CheckUsable());
  const uint64_t restored = connection_.restored();
  connection_.BeginSeal(id);
  auto posted = leased_writer_.TrySeal(id, connection_.patience());
  auto sealed = posted
                    ? *std::move(posted)
                    : connection_.Ask(wire::StoreMessage::Seal, Naming<wire::IdRequestT>(id), connection_.patience());
  connection_.EndSeal(id);
  // A server that died has sealed it, or the next one did.
  if (!sealed && sealed.error().code == ErrorCode::kWrongState && connection_.restored() != restored) sealed = {};
  if (!sealed && sealed.error().code == ErrorCode::kTimedOut) AddUnsealed(id);  // perhaps
  return sealed;
}

Result<void> StoreSession::SealAsync(const ObjectId& id) {
  RemoveUnsealed(id);
  RAYLET_RETURN_IF_ERROR(CheckUsable());
  if (leased_writer_.TrySealAsync(id)) return {};
  return connection_.Tell(wire::StoreMessage::Seal, Naming<wire::IdRequestT>(id));
}

Result<void> StoreSession::Abort(const ObjectId& id) {
  RemoveUnsealed(id);
  return connection_.Ask(wire::StoreMessage::Abort, Naming<wire::IdRequestT>(id), connection_.patience());
}

void StoreSession::AbortAsync(const ObjectId& id) {
  RemoveUnsealed(id);
  // Without a daemon there is nothing to abort.
  (void)connection_.Tell(wire::StoreMessage::Abort, Naming<wire::IdRequestT>(id));
}

void StoreSession::AbortFinally(const ObjectId& id, Deadline deadline) {
  // Without a daemon there is nothing to abort. One that does not read keeps the object until this connection ends.
  (void)connection_.TellFinally(wire::StoreMessage::Abort, Naming<wire::IdRequestT>(id), deadline);
}

void StoreSession::DeleteAsync(const ObjectId& id) {
  wire::IdsRequestT request;
  request.ids.push_back(ToWire(id));
  (void)connection_.Tell(wire::StoreMessage::Delete, request);  // as above
}

std::optional<FoundObject> StoreSession::AfterRecheck(const ObjectId& id, FoundObject found, bool& rechecked) {
  for (;;) {
    const bool there = StateOf(found.word) != EntryState::kDeleted;
    if (there && (rechecked || !found.deleted)) return found;
    if (!Recheck(id)) return std::nullopt;
    rechecked = true;
    const auto again = index_.FindThere(id);
    if (!again) return std::nullopt;
    found = *again;
  }
}

bool StoreSession::Recheck(const ObjectId& id) {
  return connection_.Ask(wire::StoreMessage::Recheck, Naming<wire::IdRequestT>(id), kRecheckPatience).has_value();
}

PinnedObject StoreSession::AlsoHolding(const std::shared_ptr<StoreSession>& self, PinnedObject view, uint32_t slot) {
  struct Pin {
    Pin(std::shared_ptr<StoreSession> of, uint32_t at) : session(std::move(of)), slot(at) {}
    ~Pin() { session->Unpin(slot); }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    const std::shared_ptr<StoreSession> session;
    const uint32_t slot;
  };
  view.session_ = std::shared_ptr<StoreSession>(std::make_shared<Pin>(self, slot), self.get());
  return view;
}

void StoreSession::AbandonCreate(const ObjectId& id) {
  if (!IsUnsealed(id)) AbortFinally(id, Deadline::After(kAbortPatience));
}

Result<PinnedObject> StoreSession::ViewOfSealed(const std::shared_ptr<StoreSession>& self, const ObjectWriter& writer,
                                                uint32_t slot) {
  if (slot == kNoSlot) {
    PinnedObject view;
    const auto pinned = WaitAndPin(self, {&writer.id_, 1}, {&view, 1}, Deadline::AfterMs(0), {});
    if (!pinned) return Fail(pinned.error());
    return view;
  }
  const auto base = self->arena_->ForWriting();
  if (!base) return Fail(base.error());
  FoundObject found;
  found.offset = static_cast<uint64_t>(writer.data_ - *base);
  found.data_bytes = writer.data_bytes_;
  found.metadata_bytes = writer.metadata_bytes_;
  auto view = self->MakeView(self, writer.id_, found, slot);
  if (!view) self->Unpin(slot);
  return view;
}

}  // namespace raylet::client
