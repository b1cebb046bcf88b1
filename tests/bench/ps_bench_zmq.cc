#include "tests/bench/ps_bench_zmq.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <vector>

namespace raylet::bench {
namespace {

void Check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("ZeroMQ: ") + what + ": " + zmq_strerror(zmq_errno()));
}

// A socket and its context.
struct Socket {
  explicit Socket(int type) : context(zmq_ctx_new()), socket(zmq_socket(context, type)) {
    Check(socket != nullptr, "socket");
  }
  ~Socket() {
    const int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(socket);
    zmq_ctx_term(context);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  void* context;
  void* socket;
};

[[noreturn]] void Serve(const std::string& endpoint, size_t count) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Socket replies(ZMQ_REP);
  Check(zmq_bind(replies.socket, endpoint.c_str()) == 0, "bind");
  std::vector<float> parameters(count);
  for (;;) {
    zmq_msg_t gradient, reply;
    zmq_msg_init(&gradient);
    Check(zmq_msg_recv(&gradient, replies.socket, 0) >= 0, "receive");
    const auto* const g = static_cast<const float*>(zmq_msg_data(&gradient));
    for (size_t i = 0; i < count; ++i) parameters[i] -= 0.1F * g[i];
    zmq_msg_close(&gradient);
    Check(zmq_msg_init_size(&reply, count * sizeof(float)) == 0, "message");
    std::memcpy(zmq_msg_data(&reply), parameters.data(), count * sizeof(float));
    Check(zmq_msg_send(&reply, replies.socket, 0) >= 0, "send");
  }
}

}  // namespace

struct ZmqServer::Client {
  Client(const std::string& endpoint, size_t floats) : requests(ZMQ_REQ), count(floats) {
    Check(zmq_connect(requests.socket, endpoint.c_str()) == 0, "connect");
  }
  Socket requests;
  size_t count;
};

ZmqServer::ZmqServer(size_t count) {
  std::string name = (std::filesystem::temp_directory_path() / "raylet-zmq.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for ZeroMQ's socket");
  folder_ = name;
  const std::string endpoint = "ipc://" + folder_ + "/socket";
  process_ = ::fork();
  if (process_ == 0) Serve(endpoint, count);
  client_ = std::make_unique<Client>(endpoint, count);
}

ZmqServer::~ZmqServer() {
  client_.reset();
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

float ZmqServer::PushAndPull(float value) {
  zmq_msg_t gradient, parameters;
  Check(zmq_msg_init_size(&gradient, client_->count * sizeof(float)) == 0, "message");
  std::fill_n(static_cast<float*>(zmq_msg_data(&gradient)), client_->count, value);
  Check(zmq_msg_send(&gradient, client_->requests.socket, 0) >= 0, "send");
  zmq_msg_init(&parameters);
  Check(zmq_msg_recv(&parameters, client_->requests.socket, 0) >= 0, "receive");
  float first = 0;
  std::memcpy(&first, zmq_msg_data(&parameters), sizeof first);
  zmq_msg_close(&parameters);
  return first;
}

}  // namespace raylet::bench
