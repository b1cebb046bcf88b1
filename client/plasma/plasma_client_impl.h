// PlasmaClient::Impl: what the copies of one PlasmaClient share: the connection, and the process that made it. Any
// thread.
#pragma once

#include <plasma/client.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/fork_generation.h"
#include "client/plasma/plasma_connection.h"
#include "client/plasma/plasma_status.h"
#include "client/plasma/read_mostly.h"
#include "client/plasma/store_client.h"

namespace plasma {

class PlasmaClient::Impl {
 public:
  // A child of the process that connected touches nothing of the connection. A thread that does not exist in the child
  // may hold a lock of it, or may have been changing what the lock guards. A client that is not connected is nobody's.
  bool InChild() const {
    const uint64_t owner = owner_.load(std::memory_order_relaxed);
    return owner != 0 && owner != raylet::ForkGeneration() + 1;
  }
  static tl::unexpected<raylet::Error> Refuse() {
    return raylet::Fail(raylet::ErrorCode::kForked,
                        "this process was forked from the one that connected this client: use another one in the "
                        "child, or fork before connecting");
  }
  void SetOwned() {
    raylet::CountForks();
    owner_.store(raylet::ForkGeneration() + 1, std::memory_order_relaxed);
  }
  void SetUnowned() { owner_.store(0, std::memory_order_relaxed); }

  static tl::unexpected<raylet::Error> NotConnected() {
    return raylet::Fail(raylet::ErrorCode::kDisconnected, "this client is not connected: call Connect first");
  }
  raylet::Result<std::shared_ptr<PlasmaConnection>> Connected() const {
    if (InChild()) return Refuse();
    auto connection = connection_.Get();
    if (connection == nullptr) return NotConnected();
    return connection;
  }
  raylet::Result<std::shared_ptr<raylet::client::StoreClient>> Store() const {
    const auto connection = Connected();
    if (!connection) return raylet::Fail(connection.error());
    return (*connection)->store;
  }

  // The holds and creations go with the connection, at the latest when the last thread has left its call.
  void Disconnect() {
    if (const auto connection = connection_.Take()) {
      SetUnowned();
      connection->store->Disconnect();
    }
  }
  // Deletes what the last copy left. In a child its pins and connection are the parent's.
  static void End(Impl* impl) {
    if (impl->InChild()) return;
    impl->Disconnect();
    delete impl;
  }

  static Status StatusOfTake(const raylet::Error& error) {
    if (error.code == PlasmaConnection::kSealedAlready) return {StatusCode::PlasmaObjectAlreadySealed, error.message};
    return raylet::client::ToStatus(error);
  }

  // Calls use(PlasmaConnection&), which must not wait, without counting a reference: threads that count the same
  // references hold each other up.
  template <class Use>
  auto WithConnection(const Use& use) const -> decltype(use(std::declval<PlasmaConnection&>())) {
    if (InChild()) return Refuse();
    return connection_.With([&](PlasmaConnection* connection) -> decltype(use(*connection)) {
      if (connection == nullptr) return NotConnected();
      return use(*connection);
    });
  }

  // Fills the views of the objects that are there, or come in time.
  Status GetAll(std::span<const ObjectID> ids, int64_t timeout_ms,
                std::span<raylet::client::PinnedObject> views) const {
    bool on_disk = false;
    const auto all = WithConnection([&](PlasmaConnection& connection) -> raylet::Result<bool> {
      bool here = true;
      for (size_t i = 0; i < ids.size(); ++i) {
        auto view = connection.store->TryGet(raylet::client::FromPublic(ids[i]), &on_disk);
        if (!view) return raylet::Fail(std::move(view).error());
        here = here && view->has_value();
        if (view->has_value()) views[i] = **std::move(view);
      }
      return here;
    });
    if (!all) return raylet::client::ToStatus(all.error());
    if (*all || (timeout_ms == 0 && !on_disk)) return Status::OK();
    const raylet::Deadline deadline = raylet::Deadline::AfterMs(timeout_ms);
    const auto store = Store();
    if (!store) return raylet::client::ToStatus(store.error());
    std::vector<raylet::ObjectId> wanted;
    wanted.reserve(ids.size());
    for (const ObjectID& id : ids) wanted.push_back(raylet::client::FromPublic(id));
    const auto got = (*store)->GetAll(wanted, views, deadline);
    return got || got.error().code == raylet::ErrorCode::kTimedOut ? Status::OK()
                                                                   : raylet::client::ToStatus(got.error());
  }

  std::atomic<uint64_t> owner_{0};  // ForkGeneration + 1 of the process that connects, or has connected; 0: none
  raylet::client::ReadMostly<PlasmaConnection> connection_;
};

}  // namespace plasma
