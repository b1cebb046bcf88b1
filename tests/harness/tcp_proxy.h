// TcpProxy: a wire between two daemons that a test can cut, freeze and bend. It listens on loopback and carries each
// connection to its target, on a thread of its own. Owned by the test; every call from the test's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/tcp_socket.h"

namespace raylet::test {

class TcpProxy {
 public:
  TcpProxy();
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  const TcpAddress& address() const { return address_; }
  void SetTarget(const TcpAddress& target);

  void Cut();                     // every connection there is, at once
  void CutAfter(uint64_t bytes);  // cuts a connection after so many bytes from now on, and the next one, and so on
  void Freeze(bool to_target, bool to_dialer);  // bytes in these directions wait; false, false: bytes flow again
  void Stall();                                 // freezes the present connections for ever, and no later ones
  void Refuse(bool refuse);                     // nobody listens here
  uint64_t connections() const { return accepted_.load(); }
  uint64_t cuts() const { return cuts_.load(); }

 private:
  struct Pipe {
    // One direction: what came in and has not gone out.
    struct Way {
      std::vector<std::byte> waiting;
      bool ended = false;  // no more comes in
    };
    UniqueFd dialer, target;
    Way to_target, to_dialer;
    bool gone = false;
    bool stalled = false;
  };
  void Listen();
  void Run();
  void AcceptAll();
  void Carry(Pipe& pipe);
  bool Move(int from, int to, Pipe::Way& way, bool frozen);
  void Wake();

  TcpAddress address_;
  UniqueFd wake_;
  std::mutex mutex_;      // of all below
  UniqueFd reserved_fd_;  // bound and never listening: the port stays ours while nobody listens
  UniqueFd listen_fd_;
  TcpAddress target_;
  std::vector<std::unique_ptr<Pipe>> pipes_;
  bool frozen_to_target_ = false, frozen_to_dialer_ = false;
  uint64_t cut_after_ = 0, carried_ = 0;
  bool stop_ = false;
  std::atomic<uint64_t> accepted_{0}, cuts_{0};
  std::thread thread_;
};

}  // namespace raylet::test
