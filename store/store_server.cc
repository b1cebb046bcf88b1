#include "store/store_server.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "base/waiter.h"

namespace raylet::store {

namespace {
constexpr size_t kBlockedCreatesMax = 4096;
constexpr std::chrono::milliseconds kRetryInterval{10};
constexpr int kBacklog = 128;

uint64_t EntryCount(uint64_t capacity_bytes) {
  return std::bit_ceil(std::clamp<uint64_t>(capacity_bytes / 4096, 65536, uint64_t{4} << 20));
}
}  // namespace

Result<std::unique_ptr<StoreServer>> StoreServer::Start(Loop& loop, const std::string& socket_path,
                                                        uint64_t capacity_bytes) {
  std::error_code failed;
  const std::string path = std::filesystem::absolute(socket_path, failed).lexically_normal().string();
  std::unique_ptr<StoreServer> server(new StoreServer(loop, path));
  auto listening = ListenUnix(path, kBacklog);  // first: it says who serves the address already
  if (!listening) return Fail(listening.error());
  server->listen_fd_ = std::move(*listening);

  const std::string name = IndexSegmentName(path);
  if (auto left = OpenNamedSegmentReadOnly(name)) {
    if (LockedByOwner(left->get()))
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("a plasma_store that lost its socket still runs for ", path, "; stop it first"));
    UnlinkNamedSegment(name);  // its daemon was killed
  }
  const uint64_t entry_count = EntryCount(capacity_bytes);
  auto segment = CreateNamedSegment(name, IndexSegmentBytes(entry_count));
  if (!segment) return Fail(segment.error());
  server->segment_name_ = name;
  server->index_fd_ = std::move(*segment);
  auto mapping = Mapping::Map(server->index_fd_.get(), IndexSegmentBytes(entry_count), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  server->index_mapping_ = std::move(*mapping);
  auto read_only = OpenNamedSegmentReadOnly(name);
  if (!read_only) return Fail(read_only.error());
  server->index_read_only_fd_ = std::move(*read_only);

  auto arena = Arena::Create(capacity_bytes);
  if (!arena) return Fail(arena.error());
  server->arena_ = std::move(*arena);

  IndexHeader* index = InitIndexSegment(server->index_mapping_.data(), entry_count);
  index->capacity_bytes = capacity_bytes;
  index->arena_bytes = server->arena_->size();
  index->daemon_pid = ::getpid();
  using std::chrono::duration_cast;
  index->started_unix_ms = static_cast<uint64_t>(
      duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  index->started_monotonic_ns = static_cast<uint64_t>(server->clock_.Now().time_since_epoch().count());
  std::memcpy(index->socket_path, path.data(), std::min(path.size(), sizeof index->socket_path - 1));
  std::memcpy(index->build, kBuild, std::min(std::strlen(kBuild), sizeof index->build - 1));
  server->index_ = index;
  server->store_ = std::make_unique<ObjectStore>(capacity_bytes, *server->arena_, index, server->clock_);
  server->store_->OnSealed([raw = server.get()](const ObjectId& id) { raw->WakeWaiters(id); });
  server->reserve_fd_ = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  server->listen_watcher_ =
      FdWatcher(loop, server->listen_fd_.get(), [raw = server.get()](FdWatcher::Events) { raw->Accept(); });
  server->listen_watcher_.Watch({.readable = true, .writable = false});
  return server;
}

StoreServer::~StoreServer() {
  timer_.Cancel();
  listen_watcher_.Cancel();
  sessions_.clear();
  if (!segment_name_.empty()) UnlinkNamedSegment(segment_name_);
  if (listen_fd_) ::unlink(socket_path_.c_str());
}

void StoreServer::Accept() {
  while (true) {
    auto accepted = AcceptUnix(listen_fd_.get());
    if (!accepted) {
      RAYLET_LOG(kWarning, "accept: ", accepted.error().message);
      if (accepted.error().code != ErrorCode::kFull) return;
      // At the descriptor limit the waiting connection would make this loop spin: take it with the reserve and close it.
      reserve_fd_.Reset();
      const auto refused = AcceptUnix(listen_fd_.get());
      reserve_fd_ = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!refused || !*refused) return;
      continue;
    }
    if (!*accepted) return;
    const auto peer = GetPeerCredentials(accepted->get());
    if (!peer || peer->uid != ::geteuid()) {
      RAYLET_LOG(kWarning, "refused a connection of user ", peer ? peer->uid : 0, ": this store serves user ", ::geteuid());
      continue;
    }
    const uint64_t number = next_session_++;
    sessions_[number] = std::make_unique<ClientSession>(*this, number, std::move(*accepted), *peer);
  }
}

void StoreServer::Remove(uint64_t number) {
  const auto it = sessions_.find(number);
  if (it == sessions_.end()) return;
  const std::unique_ptr<ClientSession> session = std::move(it->second);
  sessions_.erase(it);
  std::erase_if(blocked_, [&](const BlockedCreate& create) { return create.session == number; });
  if (session->client() != 0) store_->RemoveClient(session->client());
  RoomMayBeFree();
}

void StoreServer::WakeWaiters(const ObjectId& id) {
  bool parked = false;
  for (const auto& [number, session] : sessions_) {
    session->NoticeSealed(id);
    // Pairs with the waiter: it counts itself in, then probes; here the entry was published, then the count is read.
    if (PinPage* pins = session->pins()) parked |= pins->waiting.load(std::memory_order_seq_cst) != 0;
  }
  if (parked) FutexWakeAll(&index_->buckets[static_cast<std::ptrdiff_t>(BucketOf(id))]);
}

bool StoreServer::CanBlockCreate() const { return blocked_.size() < kBlockedCreatesMax; }

void StoreServer::BlockCreate(BlockedCreate create) {
  blocked_.push_back(std::move(create));
  KeepTimer();
}

void StoreServer::CountFullFailure(ErrorCode code) {
  if (code == ErrorCode::kFull) index_->counters.full_failures.fetch_add(1, std::memory_order_relaxed);
}

void StoreServer::RoomMayBeFree() {
  ServeBlocked();
  KeepTimer();
}

void StoreServer::ServeBlocked() {
  while (!blocked_.empty()) {
    const BlockedCreate& first = blocked_.front();
    const auto session = sessions_.find(first.session);
    if (session != sessions_.end() && !session->second->TryCreate(first, first.deadline.Passed())) break;
    blocked_.pop_front();
  }
  // Deadlines further back pass too; those may still fit by luck, and otherwise get their numbers.
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    const auto session = sessions_.find(it->session);
    const bool over = it->deadline.Passed();
    if (over && session != sessions_.end()) session->second->TryCreate(*it, true);
    it = over ? blocked_.erase(it) : it + 1;
  }
}

void StoreServer::KeepTimer() {
  const bool wanted = !blocked_.empty() || store_->HasDying();
  if (!wanted) {
    timer_.Cancel();
    return;
  }
  if (timer_) return;
  // Releases are silent (one store in the client's page): while somebody waits for them, look.
  timer_ = Timer(loop_, kRetryInterval, kRetryInterval, [this] {
    store_->SweepDying();
    RoomMayBeFree();
  });
}

}  // namespace raylet::store
