#include "store/store_server.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "base/waiter.h"

namespace raylet::store {
namespace {

constexpr std::chrono::milliseconds kSweepPeriod{100};  // a dropped pin sends no message: the slots have to be read
constexpr size_t kStrangersMax = 64;                    // connections that have not said hello

// Closes a connection that has no session, and tells it why.
void TurnAway(UniqueFd connection, const Error& why) {
  RAYLET_LOG(kError, "refused a client: ", why.message);
  wire::StoreHelloReplyT refusal;
  refusal.status = ToStatus(why);
  SendRefusal(connection.get(), static_cast<uint16_t>(wire::StoreMessage::HelloReply), Encode(refusal));
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
      acceptor_(loop, listening, [this](FdWatcher::Events) { Accept(); }) {
  store_.OnSealed([this](const ObjectId& id) { Sealed(id); });
  acceptor_.Watch({.readable = true});
}

StoreServer::~StoreServer() { store_.OnSealed({}); }

void StoreServer::Accept() {
  for (;;) {
    auto fd = AcceptUnix(listening_);
    if (!fd) {
      RefuseOne(fd.error());
      return;
    }
    if (!*fd) return;
    if (const auto ours = CheckSameUser(fd->get(), "plasma_store"); !ours) {
      TurnAway(*std::move(fd), ours.error());
      continue;
    }
    // A newcomer must not be kept out by connections that say nothing.
    if (strangers_.size() >= kStrangersMax) {
      const uint64_t oldest = strangers_.extract(strangers_.begin()).value();
      sessions_.at(oldest)->Refuse(
          {ErrorCode::kFull, StrCat(kStrangersMax, " connections to this plasma_store have ",
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
  if (auto refused = AcceptUnix(listening_); refused && *refused) TurnAway(*std::move(refused), why);
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

void StoreServer::Create(BlockedCreate create) {
  const bool may_wait = create.deadline > clock_.Now();
  // Creates are served in order: a new one waits behind those that already wait.
  if ((!may_wait || blocked_.Empty()) && Try(create, !may_wait)) return;
  const uint32_t client = create.client;
  const uint64_t request_id = create.request_id;
  BlockedCreate refused;
  refused.client = client;
  refused.request_id = request_id;
  refused.seal = create.seal;
  if (!blocked_.Push(std::move(create))) {
    Reply(refused,
          Fail(ErrorCode::kFull, StrCat("client ", client, " has ", kBlockedCreatesPerClientMax,
                                        " creates that wait for room, the limit; wait for some of them")),
          {});
  }
}

Result<void> StoreServer::Abort(uint32_t client, const ObjectId& id) {
  const std::vector<BlockedCreate> waiting = blocked_.Cancel(client, id);
  for (const BlockedCreate& create : waiting)
    Reply(create, Fail(ErrorCode::kCancelled, StrCat("the create of object ", id.hex(), " was aborted by its client")),
          {});
  return waiting.empty() ? store_.Abort(client, id) : Result<void>();
}

bool StoreServer::Try(const BlockedCreate& create, bool last_try) {
  FullNumbers numbers;
  auto offset = store_.Create(create.client, create.id, create.options, numbers);
  if (!offset && offset.error().code == ErrorCode::kFull && !last_try) return false;
  if (offset && create.seal) {
    std::byte* const arena = store_.arena_data();
    if (!create.data.empty()) std::memcpy(arena + *offset, create.data.data(), create.data.size());
    if (!create.metadata.empty())
      std::memcpy(arena + MetadataOffset(*offset, create.data.size()), create.metadata.data(), create.metadata.size());
    if (auto sealed = store_.Seal(create.client, create.id); !sealed) offset = Fail(sealed.error());
  }
  Reply(create, offset, numbers);
  return true;
}

void StoreServer::Reply(const BlockedCreate& create, const Result<uint64_t>& outcome, const FullNumbers& numbers) {
  if (!outcome && outcome.error().code == ErrorCode::kFull)
    counters().full_failures.fetch_add(1, std::memory_order_relaxed);
  const auto session = by_client_.find(create.client);
  if (session == by_client_.end() || create.request_id == 0) return;
  auto status = outcome ? OkStatus() : ToStatus(outcome.error());
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

void StoreServer::AfterRequest() {
  while (!blocked_.Empty() && Try(blocked_.Front(), false)) blocked_.PopFront();
  for (const BlockedCreate& expired : blocked_.TakeExpired(clock_.Now())) Try(expired, true);
  if (blocked_.Empty() && !store_.HasDying()) return timer_.Cancel();
  if (timer_) return;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      std::clamp<Duration>(blocked_.NextDeadline() - clock_.Now(), Duration::zero(), kSweepPeriod));
  timer_ = Timer(loop_, left, std::chrono::milliseconds(0), [this] {
    timer_.Cancel();
    store_.SweepDying();
    AfterRequest();
  });
}

void StoreServer::Sealed(const ObjectId& id) {
  // The bucket's word has changed, and the pages are read only after that (seq_cst). So a waiter
  // that is not seen here has not probed yet, and will find the object.
  if (store_.AnyoneWaits()) FutexWakeAll(&index_->buckets[static_cast<std::ptrdiff_t>(BucketOf(id))]);
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
  blocked_.DropClient(client);
  by_client_.erase(client);
  Inheritance inheritance = store_.RemoveClient(client);  // before its pin page goes
  if (inheritance.heir != 0) by_client_.at(inheritance.heir)->Inherit(client, std::move(inheritance.objects));
  for (const ObjectId& id : it->second->watched()) UnwatchFor(id, session_key);
  sessions_.erase(it);
  AfterRequest();
}

}  // namespace raylet::store
