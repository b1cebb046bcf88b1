#include "raylet/objects/store_link.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "client/plasma/store_watch.h"
#include "fbs/messages.h"

namespace raylet {
namespace {

constexpr int64_t kStartPatienceMs = 2000;
// A sealed object that waits for its watch is found after one round of all watched objects.
constexpr std::chrono::milliseconds kRotationPeriod{100};
constexpr size_t kRotatedObjects = 16384;
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

  Result<std::shared_ptr<client::StoreClient>> NewClient(const std::string& name) const override {
    return client::StoreClient::Connect(socket_, name, Deadline::AfterMs(5000), /*retry=*/false);
  }

  std::optional<uint64_t> BytesOf(const ObjectId& object) const override {
    const auto info = store_->Describe(object);
    if (!info || !info->has_value() || !(*info)->sealed) return {};
    return (*info)->data_bytes + (*info)->metadata_bytes;
  }

  std::optional<std::string> MetadataOf(const ObjectId& object) const override {
    const auto view = store_->TryGet(object);
    if (!view || !view->has_value() || (*view)->metadata().size() > kMetadataBytesMax) return {};
    const std::span<const std::byte> metadata = (*view)->metadata();
    return std::string(reinterpret_cast<const char*>(metadata.data()), metadata.size());
  }

  void Delete(std::span<const ObjectId> objects) override {
    static_cast<void>(store_->DeleteAsync(objects));  // a store that is gone holds nothing
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
    if (!watcher_) return;
    const auto sent = watch_->DeleteMadeBy(client, objects);
    if (!sent) Gone(sent.error());
  }
  size_t watched() const override { return list_.objects(); }

 private:
  void Read() {
    const auto news = watch_->TryRead();
    if (!news) return Gone(news.error());
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
  }

  // Sends one order for all wishes of one turn of the loop.
  void TellSoon() {
    if (std::exchange(tells_soon_, true)) return;
    loop_.AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
      if (!life.expired()) Tell();
    });
  }

  void Tell() {
    tells_soon_ = false;
    if (!watcher_) return;
    const WatchList::Orders orders = list_.TakeOrders();
    auto sent = watch_->Unwatch(orders.unwatch);
    if (sent) sent = watch_->Watch(orders.watch);
    if (!sent) return Gone(sent.error());
    if (list_.waiting() == 0) return rotation_.Cancel();
    if (rotation_) return;
    rotation_ = Timer(loop_, kRotationPeriod, kRotationPeriod, [this] {
      list_.Rotate(kRotatedObjects);
      TellSoon();
    });
  }

  void Gone(const Error& reason) {
    watcher_.Cancel();
    rotation_.Cancel();
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
  Timer rotation_;  // while objects wait for room at the store
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
  if (!watch) {
    if (watch.error().code != ErrorCode::kNotRunning) return Fail(watch.error());
    return Fail(ErrorCode::kNotRunning,
                StrCat("no plasma_store serves ", socket, ": start one with `plasma_store -m 1G -s ", socket, "`"));
  }
  auto objects = client::StoreClient::Connect(socket, "raylet, for objects", Deadline::AfterMs(5000), /*retry=*/false);
  if (!objects) return Fail(objects.error());
  return std::make_unique<StoreWatchLink>(loop, socket, std::move(*watch), std::move(*objects));
}

}  // namespace raylet
