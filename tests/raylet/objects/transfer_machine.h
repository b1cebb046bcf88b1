// Machine: a real plasma_store, and an ObjectSender and an ObjectReceiver on a thread beside it. Owned by a test, whose
// thread calls everything here. Wire lies between two machines: it passes bytes on, cuts and changes them.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/loop_thread.h"
#include "client/plasma/store_client.h"
#include "raylet/objects/receiver.h"
#include "raylet/objects/sender.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

using Content = std::vector<std::byte>;

inline Content RandomContent(size_t bytes, uint32_t seed) {
  Content content(bytes);
  uint32_t state = seed * 2654435761u + 1;
  for (std::byte& each : content) {
    state = state * 1664525u + 1013904223u;
    each = static_cast<std::byte>(state >> 24);
  }
  return content;
}

inline std::pair<UniqueFd, UniqueFd> SocketPair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The end of a pull, or of a connection.
struct TransferEvent {
  enum class Kind { kSealed, kEnded, kGone } kind = Kind::kGone;
  PullNumber pull = 0;
  ObjectId object;
  Error why;
  uint64_t good_bytes = 0;
};

class Machine final : public ObjectReceiver::Handler {
 public:
  explicit Machine(const std::string& memory, ObjectReceiverLimits receiver_limits = {},
                   ObjectSenderLimits sender_limits = {}, bool spills = false)
      : id(NodeId::FromRandom()) {
    SetLogLevel(LogLevel::kError);  // connections close here on purpose
    std::vector<std::string> flags = {"-m", memory, "-s", folder.File("store")};
    if (spills) flags.insert(flags.end(), {"--spill-dir", folder.File("spilled")});
    auto started = DaemonProcess::Start("plasma_store", flags);
    if (!started) throw std::runtime_error(started.error().message);
    daemon.emplace(*std::move(started));
    store = Connect("test");
    thread_.Run([&] {
      const auto mine = Connect("transfer");
      sender.emplace(thread_.loop(), mine, sender_limits);
      receiver.emplace(thread_.loop(), mine, *this, receiver_limits);
    });
  }
  ~Machine() override { StopTransfers(); }

  void StopTransfers() {
    Run([&] {
      receiver.reset();
      sender.reset();
    });
  }
  std::shared_ptr<client::StoreClient> Connect(const std::string& name) const {
    auto client = client::StoreClient::Connect(folder.File("store"), name, Deadline::AfterMs(20'000), true);
    if (!client) throw std::runtime_error(client.error().message);
    return *client;
  }
  void Run(const std::function<void()>& work) { thread_.Run(work); }

  ObjectId Put(const Content& data, const Content& metadata = {}) {
    const ObjectId object = ObjectId::FromRandom();
    EXPECT_TRUE(store->CreateAndSeal(object, data, metadata, {}));
    return object;
  }
  bool Has(const ObjectId& object) { return *store->Contains(object); }
  void ExpectHolds(const ObjectId& object, const Content& data, const Content& metadata = {}) {
    const auto view = store->Get(object, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_TRUE(std::equal(view->data().begin(), view->data().end(), data.begin(), data.end()));
    EXPECT_TRUE(std::equal(view->metadata().begin(), view->metadata().end(), metadata.begin(), metadata.end()));
  }

  // Pulls, and waits for the end.
  TransferEvent Pull(const ObjectId& object, const NodeId& from, PullPriority priority = PullPriority::kGet) {
    StartPull(object, from, priority);
    return Next();
  }
  void StartPull(const ObjectId& object, const NodeId& from, PullPriority priority = PullPriority::kGet) {
    Run([&] { receiver->Pull(++last_pull, object, from, priority); });
  }
  TransferEvent Next() {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(30), [&] { return !events_.empty(); });
    EXPECT_TRUE(came) << "nothing happens";
    if (!came) return {};
    const TransferEvent event = events_.front();
    events_.pop_front();
    return event;
  }

  void OnPullSized(PullNumber, const ObjectId&, uint64_t) override {}
  void OnPullSealed(PullNumber pull, const ObjectId& object, client::PinnedObject view) override {
    EXPECT_EQ(view.id(), object);
    Add({TransferEvent::Kind::kSealed, pull, object, {}, 0});
  }
  void OnPullEnded(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes) override {
    Add({TransferEvent::Kind::kEnded, pull, object, why, good_bytes});
  }
  void OnConnectionGone(const NodeId&, const Error& why) override { Add({TransferEvent::Kind::kGone, 0, {}, why, 0}); }

  const NodeId id;
  RunFolder folder;
  std::optional<DaemonProcess> daemon;
  std::shared_ptr<client::StoreClient> store;
  std::optional<ObjectSender> sender;      // on the thread
  std::optional<ObjectReceiver> receiver;  // on the thread
  PullNumber last_pull = 0;

 private:
  void Add(TransferEvent event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TransferEvent> events_;  // under mutex_
  LoopThread thread_;
};

// `to` pulls from `from`.
inline void Link(Machine& from, Machine& to) {
  auto [sends, receives] = SocketPair();
  from.Run([&, &fd = sends] { from.sender->Serve(to.id, std::move(fd)); });
  to.Run([&, &fd = receives] { to.receiver->Connect(from.id, std::move(fd)); });
}

// A link that passes `bytes_max` bytes of the sender, changes one of them, and closes.
class Wire {
 public:
  Wire(Machine& from, Machine& to, uint64_t bytes_max, std::optional<uint64_t> bent_byte = {}) {
    auto [sends, near] = SocketPair();
    auto [receives, far] = SocketPair();
    from.Run([&, &fd = sends] { from.sender->Serve(to.id, std::move(fd)); });
    to.Run([&, &fd = receives] { to.receiver->Connect(from.id, std::move(fd)); });
    near_ = std::move(near);
    far_ = std::move(far);
    thread_ = std::thread([this, bytes_max, bent_byte] { Pass(bytes_max, bent_byte); });
  }
  ~Wire() { thread_.join(); }

 private:
  void Pass(uint64_t bytes_max, std::optional<uint64_t> bent_byte);

  UniqueFd near_, far_;
  std::thread thread_;
};

}  // namespace raylet::test
