#include "raylet/store_link.h"

#include <chrono>

#include "base/strings.h"
#include "client/store_watch.h"

namespace raylet {
namespace {

class StoreWatchLink final : public StoreLink {
 public:
  StoreWatchLink(Loop& loop, std::unique_ptr<client::StoreWatch> watch)
      : watch_(std::move(watch)), watcher_(loop, watch_->fd(), [this](FdWatcher::Events) { Read(); }) {}

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

  std::unique_ptr<client::StoreWatch> watch_;
  FdWatcher watcher_;  // after watch_: stops before its descriptor closes
  Handler* handler_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<StoreLink>> ConnectStoreLink(Loop& loop, const std::string& socket) {
  auto watch = client::StoreWatch::Connect(socket, "raylet", Deadline::AfterMs(5000), /*retry=*/false);
  if (!watch) {
    if (watch.error().code != ErrorCode::kNotRunning) return Fail(watch.error());
    return Fail(ErrorCode::kNotRunning,
                StrCat("no plasma_store serves ", socket, ": start one with `plasma_store -m 1G -s ", socket, "`"));
  }
  return std::make_unique<StoreWatchLink>(loop, std::move(*watch));
}

}  // namespace raylet
