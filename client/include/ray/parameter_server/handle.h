// Handle<Server>: what Parameters and Table have in common. It refers to a server, or to none, and travels as the
// server's description. Copies share it. Reading is thread-safe.
#pragma once

#include <memory>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/internal/export.h>

namespace ray {
namespace ps {
namespace internal {

[[noreturn]] RAYLET_API void ThrowNoServer(const char* handle);

// Server has `static constexpr const char* kHandle`, the handle's name for people.
template <class Server>
class Handle {
 public:
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    if (server_ == nullptr)
      packer.pack_nil();
    else
      packer.pack(*server_);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      server_ = nullptr;
    else
      server_ = std::make_shared<const Server>(object.as<Server>());
  }

 protected:
  Handle() = default;  // of no server
  explicit Handle(std::shared_ptr<const Server> server) : server_(std::move(server)) {}

  const Server& Require() const {
    if (server_ == nullptr) ThrowNoServer(Server::kHandle);
    return *server_;
  }
  const std::shared_ptr<const Server>& pointer() const { return server_; }
  void set_pointer(std::shared_ptr<const Server> server) { server_ = std::move(server); }

 private:
  std::shared_ptr<const Server> server_;
};

}  // namespace internal
}  // namespace ps
}  // namespace ray
