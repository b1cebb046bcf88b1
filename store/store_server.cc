#include "store/store_server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "base/waiter.h"
#include "fbs/messages.h"
#include "store/batch_create.h"
#include "store/recovery.h"

namespace raylet::store {
namespace {

constexpr std::chrono::milliseconds kSweepPeriod{100};  // a dropped pin sends no message: the slots have to be read
constexpr std::chrono::milliseconds kUnsealedPatience{500};
constexpr size_t kStrangersMax = 64;  // connections that have not said hello

// Closes a connection that has no session, and tells it why.
void TurnAway(UniqueFd connection, const Error& why) {
  RAYLET_LOG(kError, "refused a client: ", why.message);
  wire::StoreHelloReplyT refusal;
  refusal.status = MakeWireStatus(why);
  SendRefusal(connection.get(), static_cast<uint16_t>(wire::StoreMessage::HelloReply), Encode(refusal));
}

// A session has a socket and a pin page. The other descriptors are the daemon's own, and those on their way to clients.
uint64_t SessionsMost() {
  constexpr uint64_t kOthersMost = 128, kOfASession = 2;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kClientRowsMax;
  const uint64_t all = limit.rlim_cur;
  return (all - std::min(all / 4, kOthersMost)) / kOfASession;
}

UniqueFd OpenReserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

StoreServer::StoreServer(Loop& loop, int listening, ObjectStore& store, IndexHeader* index, SharedSegments segments,
                         const Clock& clock)
    : loop_(loop),
      listening_(listening),
      store_(store),
      index_(index),
      segments_(segments),
      clock_(clock),
      reserve_(OpenReserve()),
      subscriptions_(loop, *index),
      absent_(loop, [this](uint32_t client, std::unique_ptr<AbsentClients::Client>) { End(client); }),
      put_rings_(loop, store, segments.capacity_bytes),
      acceptor_(loop, listening, [this](FdWatcher::Events) { Accept(); }) {
  store_.OnSealed([this](const ObjectId& id) { Sealed(id); });
  store_.OnSealedOrGone(
      [this](uint32_t entry, bool sealed) { sealed ? subscriptions_.Sealed(entry) : subscriptions_.Gone(entry); });
  put_rings_.OnCarriedOut([this] { AfterRequest(); });
  put_rings_.OnFull(
      [this](uint64_t need_bytes) {
        if (!disk_.HasSpiller()) return PutPosts::WhenFull::kRefuse;
        if (disk_.WantRoom(need_bytes)) return PutPosts::WhenFull::kTryAgain;
        return disk_.MakesRoom() ? PutPosts::WhenFull::kWait : PutPosts::WhenFull::kRefuse;
      },
      [this](uint32_t client, bool waits) {
        if (ClientSession* const session = SessionOf(client))
          session->HoldFrames(waits, Now() + disk_.CreatePatience());
      });
  put_rings_.OnBroken([this](uint32_t client, const Error& why) { by_client_.at(client)->Break(why); });
  acceptor_.Watch({.readable = true});
}

StoreServer::~StoreServer() {
  store_.OnSealed({});
  store_.OnSealedOrGone({});
}

void StoreServer::Accept() {
  for (;;) {
    auto fd = AcceptUnix(listening_);
    if (!fd) {
      RefuseOne(fd.error());
      return;
    }
    if (!*fd) return;
    if (const auto ours = CheckSameUser(fd->get(), "plasma_store"); !ours && !segments_.strict()) {
      TurnAway(*std::move(fd), ours.error());
      continue;
    }
    if (const uint64_t most = SessionsMost(); sessions_.size() >= most) {
      TurnAway(*std::move(fd), {ErrorCode::kLimit, StrCat("this plasma_store has ", sessions_.size(),
                                                          " connections, and its descriptor limit leaves none for ",
                                                          "another: start it with a higher ulimit -n")});
      continue;
    }
    // A newcomer must not be kept out by connections that say nothing.
    if (strangers_.size() >= kStrangersMax) {
      const uint64_t oldest = strangers_.extract(strangers_.begin()).value();
      sessions_.at(oldest)->Refuse(
          {ErrorCode::kLimit, StrCat(kStrangersMax, " connections to this plasma_store have ",
                                     "not said hello, the limit, and this one waited longest")});
    }
    const uint64_t key = next_key_++;
    strangers_.insert(key);
    sessions_[key] = std::make_unique<ClientSession>(*this, key, std::move(*fd));
  }
}

// At the descriptor limit. Without this the connection would stay in the backlog and the loop would
// spin on it.
void StoreServer::RefuseOne(const Error& why) {
  reserve_.Reset();
  if (auto refused = AcceptUnix(listening_); refused && *refused)
    TurnAway(*std::move(refused), {ErrorCode::kLimit, why.message});
  reserve_ = OpenReserve();
  if (reserve_) return;
  acceptor_.Watch({});
  accept_again_ = Timer(loop_, kSweepPeriod, std::chrono::milliseconds(0), [this] {
    reserve_ = OpenReserve();
    acceptor_.Watch({.readable = true});
  });
}

void StoreServer::Named(ClientSession& session) {
  strangers_.erase(session.key());
  by_client_[session.client()] = &session;
}

// With --isolation=strict clients write what is not sealed in memory of their own, besides.
Result<void> StoreServer::HasRoomToWrite(const BlockedCreate& create) const {
  const ObjectOptions& options = create.options;
  if (!segments_.strict() || create.seal || options.data_bytes > segments_.capacity_bytes ||
      options.metadata_bytes > segments_.capacity_bytes)
    return {};
  return memory_.RoomFor(create.need_bytes() + index_->counters.unsealed_bytes.load(std::memory_order_relaxed),
                         "the objects that clients write (--isolation=strict)");
}

void StoreServer::Create(BlockedCreate create) {
  if (const auto room = HasRoomToWrite(create); !room) return Reply(create, Fail(room.error()), {});
  const bool may_wait = create.deadline > clock_.Now();
  if (!may_wait && disk_.HasSpiller() && create.options.evict_if_full) {
    create.while_disk_writes = true;
    create.deadline = clock_.Now() + disk_.CreatePatience();
    return CreateWhileDiskWrites(std::move(create));
  }
  if (!may_wait || blocked_.MayOvertake(create)) {
    const CreateQueue::Tried tried = Try(create, !may_wait);
    if (tried.done) return;
    if (tried.reached_bytes < create.need_bytes()) create.try_at = create.need_bytes() - tried.reached_bytes;
  }
  Block(std::move(create));
}

void StoreServer::CreateWhileDiskWrites(BlockedCreate create) {
  const CreateQueue::Tried tried = Try(create, /*last_try=*/false);
  if (tried.done) return;
  if (!disk_.MakesRoom() || create.deadline <= clock_.Now()) {
    static_cast<void>(Try(create, /*last_try=*/true));
    return;
  }
  create.try_at = create.need_bytes() - std::min(create.need_bytes(), tried.reached_bytes);
  Block(std::move(create));
}

void StoreServer::Block(BlockedCreate create) {
  create.try_at = std::max<uint64_t>(create.try_at, 1) + store_.bytes_in_reach();
  BlockedCreate refused;
  refused.client = create.client;
  refused.request_id = create.request_id;
  refused.seal = create.seal;
  const auto room = create.carried_bytes() == 0
                        ? Result<void>()
                        : memory_.RoomFor(create.carried_bytes(), "the data of a create that waits");
  const auto pushed =
      room ? blocked_.Push(std::move(create)) : Result<void>(Fail(ErrorCode::kFull, room.error().message));
  if (!pushed) Reply(refused, Fail(pushed.error()), {});
}

Result<void> StoreServer::Abort(uint32_t client, const ObjectId& id) {
  const std::vector<BlockedCreate> waiting = blocked_.Cancel(client, id);
  for (const BlockedCreate& create : waiting)
    Reply(create, Fail(ErrorCode::kCancelled, StrCat("the create of object ", id.hex(), " was aborted by its client")),
          {});
  return waiting.empty() ? store_.Abort(client, id) : Result<void>();
}

CreateQueue::Tried StoreServer::Try(const BlockedCreate& create, bool last_try) {
  FullNumbers numbers;
  numbers.names_pinners = last_try;
  auto offset = Carry(create, numbers);
  if (!offset && offset.error().code == ErrorCode::kFull && create.options.evict_if_full &&
      disk_.WantRoom(create.need_bytes()))
    offset = Carry(create, numbers);
  if (!offset && offset.error().code == ErrorCode::kFull && !last_try)
    return {.done = false, .reached_bytes = numbers.reached_bytes};
  Reply(create, offset, numbers);
  return {.done = true};
}

// The offset of an object that is still to be sealed.
Result<uint64_t> StoreServer::Carry(const BlockedCreate& create, FullNumbers& numbers) {
  if (create.batch != nullptr) {
    const auto created = CreateAndSealBatch(store_, create.client, *create.batch, numbers);
    return created ? Result<uint64_t>(0) : Fail(created.error());
  }
  const auto offset = store_.Create(create.client, create.id, create.options, numbers);
  if (!offset || !create.seal) return offset;
  std::byte* const arena = store_.arena_data();
  if (!create.data.empty()) std::memcpy(arena + *offset, create.data.data(), create.data.size());
  if (!create.metadata.empty())
    std::memcpy(arena + MetadataOffset(*offset, create.data.size()), create.metadata.data(), create.metadata.size());
  if (const auto sealed = store_.Seal(create.client, create.id); !sealed) return Fail(sealed.error());
  return offset;
}

void StoreServer::Reply(const BlockedCreate& create, const Result<uint64_t>& outcome, const FullNumbers& numbers) {
  if (!outcome && outcome.error().code == ErrorCode::kFull) store_.NoteFull(create.client, create.id, numbers);
  const auto session = by_client_.find(create.client);
  if (session == by_client_.end() || create.request_id == 0) return;
  auto status = outcome ? OkStatus() : MakeWireStatus(outcome.error());
  status->need_bytes = numbers.need_bytes;
  status->free_bytes = numbers.free_bytes;
  status->largest_run_bytes = numbers.largest_run_bytes;
  status->pinned_bytes = numbers.pinned_bytes;
  if (create.seal) {
    wire::StatusReplyT reply;
    reply.status = std::move(status);
    session->second->Send(wire::StoreMessage::StatusReply, create.request_id, reply);
  } else {
    wire::CreateReplyT reply;
    reply.status = std::move(status);
    reply.offset = outcome.value_or(0);
    session->second->Send(wire::StoreMessage::CreateReply, create.request_id, reply);
  }
}

void StoreServer::AfterRequest(bool released) {
  disk_first_ = !disk_first_;
  if (disk_first_) disk_.Serve(released);
  ServeCreates(released);
  if (!disk_first_) disk_.Serve(released);
  put_rings_.ServeWaiting([this](uint32_t client) {
    const ClientSession* const session = SessionOf(client);
    return session == nullptr || session->HoldsNoLonger(clock_.Now());
  });
  const TimePoint now = clock_.Now();
  if (blocked_.Empty() && !disk_.NeedsTicks() && !store_.HasDying() && !put_rings_.HasWaiting()) return timer_.Cancel();
  const TimePoint due = std::min({TimePoint(now + kSweepPeriod), blocked_.NextDeadline(), disk_.NextDeadline()});
  if (timer_ && timer_due_ <= due) return;
  timer_due_ = due;
  timer_ = Timer(loop_, std::chrono::ceil<std::chrono::milliseconds>(due - now), std::chrono::milliseconds(0), [this] {
    timer_.Cancel();
    store_.SweepDying();
    disk_.Tick();
    AfterRequest(/*released=*/true);
  });
}

void StoreServer::ServeCreates(bool released) {
  if (blocked_.Empty()) return;
  blocked_.Serve(
      released, [this] { return store_.bytes_in_reach(); },
      [this](const BlockedCreate& create) { return Try(create, /*last_try=*/false); });
  for (const BlockedCreate& expired : blocked_.TakeExpired(clock_.Now())) Try(expired, /*last_try=*/true);
  // So that the disk is kept busy while creates wait.
  if (!blocked_.Empty()) disk_.WantRoom(blocked_.FirstNeed());
  if (disk_.MakesRoom()) return;
  for (BlockedCreate& create : blocked_.TakeThoseForDisk()) CreateWhileDiskWrites(std::move(create));
}

void StoreServer::Sealed(const ObjectId& id) {
  // The bucket's word has changed, and the pages are read only after that (seq_cst). So a waiter
  // that is not seen here has not probed yet, and will find the object.
  if (store_.MayAnyoneWait()) FutexWakeAll(&index_->buckets[static_cast<std::ptrdiff_t>(BucketOf(id))]);
  std::vector<uint64_t> keys;
  const auto [first, last] = watchers_.equal_range(id);
  for (auto watcher = first; watcher != last; ++watcher) keys.push_back(watcher->second);
  for (const uint64_t key : keys) sessions_.at(key)->NoticeSealed(id);
}

void StoreServer::WatchFor(const ObjectId& id, uint64_t session_key) {
  watchers_.emplace(id, session_key);
  counters().watched_ids.store(watchers_.size(), std::memory_order_relaxed);
}

void StoreServer::UnwatchFor(const ObjectId& id, uint64_t session_key) {
  const auto [first, last] = watchers_.equal_range(id);
  const auto watcher = std::find_if(first, last, [&](const auto& each) { return each.second == session_key; });
  RAYLET_CHECK(watcher != last, "session ", session_key, " does not watch object ", id.hex());
  watchers_.erase(watcher);
  counters().watched_ids.store(watchers_.size(), std::memory_order_relaxed);
}

void StoreServer::Remove(uint64_t session_key) {
  const auto it = sessions_.find(session_key);
  if (it == sessions_.end()) return;
  strangers_.erase(session_key);
  const uint32_t client = it->second->client();
  if (client != 0) {
    blocked_.DropClient(client);
    disk_.DropClient(client);
    by_client_.erase(client);
    subscriptions_.RemoveClient(client);
    put_rings_.Remove(client);  // first: what it posted is its
    End(client);                // before its pin page goes
  }
  for (const ObjectId& id : it->second->watched()) UnwatchFor(id, session_key);
  sessions_.erase(it);
  AfterRequest(/*released=*/true);
}

ClientSession* StoreServer::SessionOf(uint32_t client) {
  const auto it = by_client_.find(client);
  return it == by_client_.end() ? nullptr : it->second;
}

void StoreServer::End(uint32_t client) {
  Inheritance inheritance = store_.RemoveClient(client);
  if (keeper_ != nullptr) keeper_->Forget(client);
  if (inheritance.heir != 0) {
    if (const auto heir = by_client_.find(inheritance.heir); heir != by_client_.end())
      heir->second->Inherit(client, std::move(inheritance.objects));
    else if (AbsentClients::Client* const absent = absent_.Find(inheritance.heir))
      static_cast<void>(absent->inherited.Add(client, std::move(inheritance.objects)));
  }
  AfterRequest(/*released=*/true);
}

void StoreServer::AddAbsent(uint32_t client, UniqueFd pins_fd, Mapping pins, UniqueFd socket) {
  absent_.Add(client, std::move(pins_fd), std::move(pins), std::move(socket));
  lose_unsealed_ = Timer(loop_, kUnsealedPatience, {}, [this] {
    for (const uint32_t number : absent_.numbers()) Recovery(store_).LoseUnsealed(number);
    AfterRequest(/*released=*/true);
  });
}

void StoreServer::EndLostClients() {
  for (const uint32_t client : store_.clients())
    if (!by_client_.contains(client) && absent_.Find(client) == nullptr) End(client);
  AfterRequest();  // something may be dying
}

}  // namespace raylet::store
