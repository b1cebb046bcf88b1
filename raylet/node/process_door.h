// ProcessDoor: where drivers, workers and tools come in. It listens at the raylet's socket and, in a cluster, at an
// abstract name of this machine. It admits processes, gives each a number, and finds a session by process. A service.
// Owned by the Raylet, and owns the sessions; loop thread only. Always holds: a process with a number has one session,
// which SessionOf finds until it has gone. A number is never given twice.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "base/unix_socket.h"
#include "raylet/node/process_session.h"

namespace raylet {

constexpr size_t kSessionsMax = 1024;

struct ProcessDoorOptions {
  std::string socket;          // absolute
  bool found_locally = false;  // also listens at an abstract name, for programs that know only the cluster's address
  MachineNumber machine{};     // part of every process number
  SessionLimits limits;
};

class ProcessDoor final : public ProcessSession::Events {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    // An admitted process comes, with its number and doorbell. The handler fills the job and the worker of `identity`,
    // and the fields of `reply` that only the raylet knows. An error refuses the process.
    virtual Result<void> OnProcessComes(pid_t pid, wire::RegisterRequestT& request, ProcessSession::Identity& identity,
                                        wire::RegisterReplyT& reply) = 0;
    // kProtocolError closes the connection.
    virtual Result<void> OnProcessMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) = 0;
    // The process does not read what is sent to it, or reads again. Called from inside Send, too.
    virtual void OnProcessBehind(ProcessId process, bool behind) = 0;
    // The last event of a process that had come.
    virtual void OnProcessGone(const ProcessSession::Identity& identity, const Error& reason) = 0;
  };

  ProcessDoor(Loop& loop, ProcessDoorOptions options) : loop_(loop), options_(std::move(options)) {}
  ~ProcessDoor() override;

  Result<void> Listen(Events& events);  // `events` outlives it
  // Every process that comes gets it with its registration. `page` outlives this.
  void GiveLeasePage(const UniqueFd& page) { lease_page_ = &page; }
  void Refuse();         // admits nobody from now on, and removes the socket
  void CloseSessions();  // closes all, without events

  ProcessSession* SessionOf(ProcessId process) const;  // null: it has gone, or belongs to another machine
  bool IsConnected(ProcessId process) const { return by_process_.contains(process); }
  bool HasGone(ProcessId process) const;  // it was a process of this machine, and has gone
  const std::unordered_map<ProcessId, ProcessSession*>& processes() const { return by_process_; }

  // ---- for the status
  size_t connections() const { return sessions_.size(); }
  uint64_t bytes_received() const;  // over all sockets since the start
  uint64_t bytes_sent() const;

 private:
  void ListenLocally();
  void Accept(int listen_fd);
  void WatchListeners(FdWatcher::Events wanted);
  Result<void> Admit(const ProcessSession& session, const wire::RegisterRequestT& request, const UniqueFd& doorbell);
  Result<void> OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                          UniqueFd doorbell) override;
  Result<void> OnMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) override;
  void OnBehind(ProcessSession& session, bool behind) override;
  void OnSessionClosed(ProcessSession& session, const Error& reason) override;

  Loop& loop_;
  const ProcessDoorOptions options_;
  Events* events_ = nullptr;              // null before Listen: no process can come
  const UniqueFd* lease_page_ = nullptr;  // null without other machines
  std::unordered_map<SessionId, std::unique_ptr<ProcessSession>> sessions_;
  std::unordered_map<ProcessId, ProcessSession*> by_process_;   // registered and connected
  uint64_t closed_bytes_received_ = 0, closed_bytes_sent_ = 0;  // of the sessions that have gone
  uint32_t next_process_ = 1;
  SessionId next_session_ = 1;
  bool refuses_ = false;
  // Its socket, and in a cluster the abstract name at which processes of this machine find it.
  UniqueFd listen_fd_, local_fd_;
  std::optional<SocketFile> socket_file_;
  FdWatcher listener_, local_listener_;
  Timer accept_pause_;
};

}  // namespace raylet
