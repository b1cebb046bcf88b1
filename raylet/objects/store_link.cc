#include "raylet/objects/store_link.h"

#include <chrono>
#include <ctime>

#include "base/strings.h"
#include "client/plasma/store_watch.h"

namespace raylet {
namespace {

constexpr int64_t kStartPatienceMs = 2000;

class StoreWatchLink final : public StoreLink {
 public:
  StoreWatchLink(Loop& loop, std::string socket, std::unique_ptr<client::StoreWatch> watch,
                 std::shared_ptr<client::StoreClient> store)
      : socket_(std::move(socket)),
        store_(std::move(store)),
        watch_(std::move(watch)),
        watcher_(loop, watch_->fd(), [this](FdWatcher::Events) { Read(); }) {}

  uint32_t client_number() const override {
    return store_ == nullptr ? watch_->client_number() : store_->client_number();
  }

  Result<std::shared_ptr<client::StoreClient>> NewClient(const std::string& name) const override {
    return client::StoreClient::Connect(socket_, name, Deadline::AfterMs(5000), /*retry=*/false);
  }

  std::optional<uint64_t> BytesOf(const ObjectId& object) const override {
    if (store_ == nullptr) return {};
    const auto info = store_->Describe(object);
    if (!info || !info->has_value() || !(*info)->sealed) return {};
    return (*info)->data_bytes + (*info)->metadata_bytes;
  }

  void Delete(std::span<const ObjectId> objects) override {
    if (store_ != nullptr) static_cast<void>(store_->DeleteAsync(objects));  // a store that is gone holds nothing
  }

  Room room() const override {
    if (store_ == nullptr) return {};
    return {store_->capacity_bytes(), store_->free_bytes()};
  }

  void SetHandler(Handler& handler) override {
    handler_ = &handler;
    watcher_.Watch({true, false});
  }

  void Watch(std::span<const ObjectId> objects) override {
    if (!watcher_) return;
    const auto sent = watch_->Watch(objects);
    if (!sent) Gone(sent.error());
  }

 private:
  void Read() {
    const auto sealed = watch_->TryReadSealed();
    if (!sealed) return Gone(sealed.error());
    for (const ObjectId& object : *sealed) handler_->OnSealed(object);
  }

  void Gone(const Error& reason) {
    watcher_.Cancel();
    handler_->OnStoreGone(reason);
  }

  const std::string socket_;
  const std::shared_ptr<client::StoreClient> store_;  // null without a cluster
  std::unique_ptr<client::StoreWatch> watch_;
  FdWatcher watcher_;  // after watch_: stops before its descriptor closes
  Handler* handler_ = nullptr;
};

// It may have been started in the same moment as this raylet.
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

Result<std::unique_ptr<StoreLink>> ConnectStoreLink(Loop& loop, const std::string& socket, bool in_cluster) {
  auto watch = WatchStore(socket);
  if (!watch) {
    if (watch.error().code != ErrorCode::kNotRunning) return Fail(watch.error());
    return Fail(ErrorCode::kNotRunning,
                StrCat("no plasma_store serves ", socket, ": start one with `plasma_store -m 1G -s ", socket, "`"));
  }
  std::shared_ptr<client::StoreClient> objects;
  if (in_cluster) {
    auto connected =
        client::StoreClient::Connect(socket, "raylet, for other machines", Deadline::AfterMs(5000), /*retry=*/false);
    if (!connected) return Fail(connected.error());
    objects = std::move(*connected);
  }
  return std::make_unique<StoreWatchLink>(loop, socket, std::move(*watch), std::move(objects));
}

}  // namespace raylet
