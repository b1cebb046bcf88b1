#include "raylet/objects/store_link.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <deque>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "client/plasma/store_watch.h"
#include "fbs/id_lists.h"
#include "fbs/messages.h"

namespace raylet {
namespace {

constexpr int64_t kStartPatienceMs = 2000;
constexpr size_t kOrdersKept = 256;
constexpr std::chrono::milliseconds kConnectAgain{50};  // the loop stands still no longer at a time
// Of the objects that wait for a place at the store, so many are looked for in its index at a time. A million of them
// get their turn in 5 s.
constexpr std::chrono::milliseconds kLookPeriod{20};
constexpr size_t kObjectsPerLook = 4096;
// The store has answered for all but so many ids before it is asked for more. They fit into the socket, so that no
// send waits.
constexpr size_t kUnansweredIdsMax = 4096;
constexpr std::chrono::milliseconds kDeleteAgain{5};  // a store that takes no more is asked again
constexpr size_t kMetadataBytesMax = size_t{1} << 20;

class StoreWatchLink final : public StoreLink {
 public:
  StoreWatchLink(Loop& loop, std::string socket, std::unique_ptr<client::StoreWatch> watch,
                 std::shared_ptr<client::StoreClient> store)
      : loop_(loop),
        socket_(std::move(socket)),
        store_(std::move(store)),
        watch_(std::move(watch)),
        watcher_(loop, watch_->fd(), [this](FdWatcher::Events) { Read(); }) {}

  uint32_t heir() const override { return watch_->client_number(); }
  uint32_t client_number() const override { return store_->client_number(); }

  bool Serves() const override { return watcher_ && !PeerClosed(watch_->fd()); }

  Result<std::shared_ptr<client::StoreClient>> NewClient(const std::string& name) const override {
    return client::StoreClient::Connect(socket_, name, Deadline::AfterMs(5000), /*retry=*/false);
  }

  std::optional<uint64_t> BytesOf(const ObjectId& object) const override {
    const auto info = store_->Describe(object);
    if (!info || !info->has_value() || !(*info)->sealed) return {};
    return (*info)->data_bytes + (*info)->metadata_bytes;
  }

  bool IsLost(const ObjectId& object) const override { return store_->IsLost(object); }

  std::optional<std::string> MetadataOf(const ObjectId& object) const override {
    const auto view = store_->TryGet(object);
    if (!view || !view->has_value() || (*view)->metadata().size() > kMetadataBytesMax) return {};
    const std::span<const std::byte> metadata = (*view)->metadata();
    return std::string(reinterpret_cast<const char*>(metadata.data()), metadata.size());
  }

  void Delete(std::span<const ObjectId> objects) override {
    if (gone_) return;
    to_delete_.insert(to_delete_.end(), objects.begin(), objects.end());
    if (!deletes_) SendDeletes();
  }

  Room room() const override { return {store_->capacity_bytes(), store_->free_bytes()}; }

  void SetHandler(Handler& handler) override {
    handler_ = &handler;
    watcher_.Watch({true, false});
  }

  void Watch(std::span<const ObjectId> objects, WatchFor reason) override {
    list_.Add(objects, reason);
    TellSoon();
  }
  void Unwatch(std::span<const ObjectId> objects, WatchFor reason) override {
    list_.Remove(objects, reason);
    TellSoon();
  }
  void DeleteMadeBy(uint32_t client, std::span<const ObjectId> objects) override {
    if (gone_) return;
    // The store forgets the order when its server dies.
    made_by_.push_back({client, {objects.begin(), objects.end()}});
    if (made_by_.size() > kOrdersKept) made_by_.pop_front();
    if (!watcher_) return;
    const auto sent = watch_->DeleteMadeBy(client, objects);
    if (!sent) Lost(sent.error());
  }
  size_t watched() const override { return list_.objects(); }

  void SealedHere(const ObjectId& object) override {
    if (!list_.SealedHere(object)) return;
    found_.push_back(object);
    TellSoon();
  }

 private:
  // As many as the store takes now.
  void SendDeletes() {
    deletes_.Cancel();
    Result<bool> taken = true;
    while (taken && *taken && !to_delete_.empty()) {
      const size_t count = std::min(to_delete_.size(), kObjectsPerMessage);
      const std::vector<ObjectId> piece(to_delete_.begin(), to_delete_.begin() + static_cast<std::ptrdiff_t>(count));
      if (const auto sent = store_->DeleteAsync(piece, Deadline::AfterMs(0)); sent)
        to_delete_.erase(to_delete_.begin(), to_delete_.begin() + static_cast<std::ptrdiff_t>(piece.size()));
      else if (sent.error().code == ErrorCode::kTimedOut)
        taken = false;
      else
        taken = Fail(sent.error());
    }
    if (taken && *taken) taken = store_->Flush();
    if (!taken) return Gone(taken.error());
    if (!*taken) deletes_ = Timer(loop_, kDeleteAgain, {}, [this] { SendDeletes(); });
  }

  void Read() {
    const auto news = watch_->TryRead();
    if (!news) return Lost(news.error());
    if (!news->refused.empty()) RAYLET_LOG(kWarning, "the store watches fewer objects: ", news->why_refused);
    list_.Refused(news->refused);  // before others take the places
    std::vector<ObjectId> awaited;
    for (const ObjectId& object : news->sealed)
      if (list_.Sealed(object)) awaited.push_back(object);
    list_.Unwatched(news->unwatched);
    TellSoon();
    for (const ObjectId& object : awaited) handler_->OnSealed(object);
    for (const auto& inherited : news->inherited)
      handler_->OnInherited(inherited.client, inherited.ids, inherited.last);
    if (!watcher_ || !watch_->HasMore()) return;
    loop_.Post([this, life = std::weak_ptr<int>(life_)] {
      if (!life.expired() && watcher_) Read();
    });
  }

  // Tells the handler what was found, and sends one order for all wishes of one turn of the loop.
  void TellSoon() {
    if (std::exchange(tells_soon_, true)) return;
    loop_.AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
      if (!life.expired()) Tell();
    });
  }

  void Tell() {
    tells_soon_ = false;
    if (!watcher_) return;
    for (const ObjectId& object : std::exchange(found_, {})) handler_->OnSealed(object);
    // The answers to the orders before this one bring the next.
    const size_t unanswered = watch_->unanswered();
    const WatchList::Orders orders = list_.TakeOrders(kUnansweredIdsMax - std::min(kUnansweredIdsMax, unanswered));
    auto sent = watch_->Unwatch(orders.unwatch);
    if (sent) sent = watch_->Watch(orders.watch);
    if (!sent) return Lost(sent.error());
    if (list_.waiting() == 0) return looks_.Cancel();
    if (!looks_) looks_ = Timer(loop_, kLookPeriod, kLookPeriod, [this] { Look(); });
  }

  void Look() {
    for (const ObjectId& object : list_.NextToLookFor(kObjectsPerLook))
      if (BytesOf(object)) SealedHere(object);
  }

  // The store's server has died, or the whole store.
  void Lost(const Error& reason) {
    if (reason.code != ErrorCode::kDisconnected) return Gone(reason);
    watcher_.Cancel();
    looks_.Cancel();
    list_.Restarted();
    RAYLET_LOG(kWarning, "the store at ", socket_, " ends this connection; connecting again");
    again_ = Timer(loop_, std::chrono::milliseconds(0), kConnectAgain, [this] { ConnectAgain(); });
  }

  void ConnectAgain() {
    const auto connected = watch_->ConnectAgain(Deadline::After(kConnectAgain));
    if (!connected && connected.error().code == ErrorCode::kTimedOut) return;
    again_.Cancel();
    if (!connected) return Gone(connected.error());
    watcher_ = FdWatcher(loop_, watch_->fd(), [this](FdWatcher::Events) { Read(); });
    watcher_.Watch({true, false});
    for (const MadeBy& order : made_by_)
      if (const auto sent = watch_->DeleteMadeBy(order.client, order.objects); !sent) return Lost(sent.error());
    TellSoon();
  }

  void Gone(const Error& reason) {
    if (std::exchange(gone_, true)) return;
    again_.Cancel();
    watcher_.Cancel();
    looks_.Cancel();
    deletes_.Cancel();
    to_delete_.clear();  // a store that is gone holds nothing
    handler_->OnStoreGone(reason);
  }

  Loop& loop_;
  const std::string socket_;
  const std::shared_ptr<client::StoreClient> store_;
  std::unique_ptr<client::StoreWatch> watch_;
  FdWatcher watcher_;  // after watch_: stops before its descriptor closes
  Handler* handler_ = nullptr;
  WatchList list_{kWatchedIdsPerClientMax};
  bool tells_soon_ = false;
  bool gone_ = false;
  struct MadeBy {
    uint32_t client = 0;
    std::vector<ObjectId> objects;
  };
  std::deque<MadeBy> made_by_;      // the last orders, for a server that is started again
  Timer again_;                     // while the connection is lost
  Timer looks_;                     // while objects wait for room at the store
  std::vector<ObjectId> found_;     // sealed, and the handler does not know it yet
  std::deque<ObjectId> to_delete_;  // which the store has not taken
  Timer deletes_;                   // while there are some
  const std::shared_ptr<int> life_ = std::make_shared<int>();
};

// The store may have been started in the same moment as this raylet.
Result<std::unique_ptr<client::StoreWatch>> WatchStore(const std::string& socket) {
  const Deadline started = Deadline::AfterMs(kStartPatienceMs);
  for (;;) {
    auto watch = client::StoreWatch::Connect(socket, "raylet", Deadline::AfterMs(5000), /*retry=*/false);
    if (watch || watch.error().code != ErrorCode::kNotRunning || started.Passed()) return watch;
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace

Result<std::unique_ptr<StoreLink>> ConnectStoreLink(Loop& loop, const std::string& socket) {
  auto watch = WatchStore(socket);
  if (!watch) return Fail(watch.error());
  auto objects = client::StoreClient::Connect(socket, "raylet, for objects", Deadline::AfterMs(5000), /*retry=*/false);
  if (!objects) return Fail(objects.error());
  return std::make_unique<StoreWatchLink>(loop, socket, std::move(*watch), std::move(*objects));
}

}  // namespace raylet
