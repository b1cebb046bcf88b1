// The control of ps_bench: a parameter server of one process over ZeroMQ's request and reply, as a user would write it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace raylet::bench {

class ZmqServer {
 public:
  // Starts the server's process. The caller has no other thread yet.
  explicit ZmqServer(size_t count);
  ~ZmqServer();
  ZmqServer(const ZmqServer&) = delete;
  ZmqServer& operator=(const ZmqServer&) = delete;

  // Sends a gradient of this value, and gets the parameters that come of it. Returns the first one.
  float PushAndPull(float value);

 private:
  struct Client;
  std::unique_ptr<Client> client_;
  int process_ = 0;
  std::string folder_;
};

}  // namespace raylet::bench
