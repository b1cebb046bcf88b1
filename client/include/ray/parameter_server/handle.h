// Handle<Server>: what Parameters and Table have in common. It refers to a server, or to none, and travels as the
// server's description. Copies share it, and hear together that the server has other shards now. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <ray/api/msgpack.h>

#include <ray/internal/export.h>

namespace ray {
namespace ps {
namespace internal {

[[noreturn]] RAYLET_API void ThrowNoServer(const char* handle);

// What a Resize of a Server leaves for the next one. Of Resize alone, one call at a time.
template <class Server>
struct ResizeMemory {
  std::vector<uint64_t> refused;          // sequences of changes that the Resize before has kept out
  std::shared_ptr<const Server> doubted;  // the home did not answer whether this layout counts
  uint64_t resize = 0;                    // that made it
};

// Server has `static constexpr const char* kHandle`, the handle's name for people.
template <class Server>
class Handle {
 public:
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    if (const auto server = pointer(); server == nullptr)
      packer.pack_nil();
    else
      packer.pack(*server);
  }
  void msgpack_unpack(const msgpack::object& object) {
    set_pointer(object.is_nil() ? nullptr : std::make_shared<const Server>(object.as<Server>()));
  }

 protected:
  Handle() = default;  // of no server
  explicit Handle(std::shared_ptr<const Server> server) { set_pointer(std::move(server)); }

  std::shared_ptr<const Server> Require() const {
    auto server = pointer();
    if (server == nullptr) ThrowNoServer(Server::kHandle);
    return server;
  }
  std::shared_ptr<const Server> pointer() const {
    if (shared_ == nullptr) return nullptr;
    const std::lock_guard lock(shared_->mutex);
    return shared_->server;
  }
  // For this handle and the copies that are made of it from now on.
  void set_pointer(std::shared_ptr<const Server> server) {
    shared_ = server == nullptr ? nullptr : std::make_shared<Shared>();
    if (shared_ != nullptr) shared_->server = std::move(server);
  }
  // For all copies: the same server with other shards. Nothing happens where they know a newer layout. The owner's own
  // Server has `options`. It counts before another's of the same layout, since it keeps what the owner made. Another's
  // that comes first, while the owner's Resize is not over, leaves the owner what it knows.
  void Moved(std::shared_ptr<const Server> server) const {
    const std::lock_guard lock(shared_->mutex);
    const Server& known = *shared_->server;
    const bool owners = server->options != nullptr;
    if (server->epoch < known.epoch || (server->epoch == known.epoch && !owners)) return;
    if (!owners && known.options != nullptr) {
      auto own = std::make_shared<Server>(*server);
      own->options = known.options;
      own->resizing = known.resizing;
      server = std::move(own);
    }
    std::swap(shared_->server, server);
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::shared_ptr<const Server> server;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace internal
}  // namespace ps
}  // namespace ray
