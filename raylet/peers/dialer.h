// PeerDialer: decides which addresses this raylet dials and when, and what a failed dial means. A core: events in,
// decisions out, time by the caller's clock, and no socket. Owned by PeerLinks, which opens the connections; its loop's
// thread.
//
// The dialer tries an address until it has a connection with the raylet there. The pause doubles after each attempt. A
// sought address is kept for ever. An address is also kept while its session lives, while a peer introduces a raylet
// there, and for an hour after silence ended its session. Any other address gets a few attempts.
//
// While a session lives its address is dialed again soon, with short attempts, even if the raylet is merely silent.
// After an outage TCP waits about as long again before it retries, and by then the session would be dead. The raylet
// with the smaller node id dials first; the other one gives it time.
//
// Always holds: an address has one dial under way at most. An introduction is believed only as far as its address. A
// dial to an introduced address never makes a node dead.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/tcp_socket.h"
#include "raylet/peers/handshake.h"
#include "raylet/peers/introductions.h"

namespace raylet {

struct PeerDialLimits {
  Duration pause_min = std::chrono::milliseconds(100);
  Duration pause_max = std::chrono::seconds(5);
  Duration seek_lost_for = std::chrono::hours(1);  // after silence ended a session
  size_t lost_max = 64;                            // such addresses; past this the oldest is forgotten
  size_t introduced_max = 1024;                    // addresses that are known from other raylets alone
  size_t introduced_dials_max = 16;                // of these, dialed at a time
};

class PeerDialer {
 public:
  // The sessions with other raylets.
  class Sessions {
   public:
    virtual ~Sessions() = default;
    virtual bool Lives(const NodeId& node) const = 0;
    virtual bool InTouch(const NodeId& node) const = 0;  // connected, and heard
  };
  struct Due {
    std::vector<std::string> addresses;  // call Begin for these now, in this order
    TimePoint next = TimePoint::max();   // when the next address is due
  };
  struct Attempt {
    TcpAddress address;
    TimePoint connect_until = TimePoint::max();  // a shorter wait for the connection than the handshake's
  };
  struct Failure {
    Error why;
    bool refused_by_machine = false;  // nobody listens there
    bool to_itself = false;
    std::optional<wire::RefusalKind> refusal;  // by a raylet that has proved itself
    bool other_address = false;                // the listener says that its address is another
  };
  // The end of a session, if a failed dial shows one.
  struct Verdict {
    NodeId dead;  // nil: nothing
    Error why;
    bool seek_back = false;  // the raylet there lives, and begins another session
  };
  using Random = std::function<uint64_t()>;

  // `own`, `clock` and `sessions` outlive it. A session is in doubt for `in_doubt` once its connection is lost.
  PeerDialer(const PeerIdentity& own, PeerDialLimits limits, Duration in_doubt, const Clock& clock,
             const Sessions& sessions, Random random);

  // ---- addresses
  // Dials the address from now on. `node` is the id of the raylet there, if known. kInvalid: the address has no port,
  // or stands for every address.
  Result<void> Seek(const TcpAddress& address, const NodeId& node);
  void Forget(const std::string& address);  // the address is not sought any more; its session goes on
  // That raylet asks to be dialed, because it may not dial itself. kInvalid: its address cannot be dialed.
  Result<void> SeekBack(const PeerIdentity& identity);
  void OnIntroduction(const PeerIntroductions::News& news);
  void ForgetAll() { targets_.clear(); }

  // ---- events of sessions
  void Connected(const PeerIdentity& peer, ConnectionId connection);
  void OutOfTouch(const NodeId& node);  // its connection is lost and its session lives: dial it again
  void Dead(const NodeId& node, bool of_silence);

  // ---- dials
  Due TakeDue() const;
  std::optional<Attempt> Begin(const std::string& address);  // nothing: the address was forgotten meanwhile
  void Opened(const std::string& address, ConnectionId connection);
  // That raylet answers there.
  void Proven(const std::string& address, const NodeId& served_by);
  // The connection ended without a session, or never opened.
  Verdict Failed(const std::string& address, ConnectionId connection, const Failure& failure);
  Verdict NotOpened(const std::string& address, const Error& why);

 private:
  struct Target {
    TcpAddress address;
    NodeId node;  // nil: not known
    bool sought = false;
    bool itself = false;                            // this raylet answers there
    std::set<PeerIntroductions::Place> introduced;  // lives of raylets that peers have met there
    std::optional<TimePoint> lost_until;            // silence ended its session, and its raylet is sought until then
    int attempts = 0;
    TimePoint next_at, dialed_at;
    ConnectionId connection = 0;  // under way
    std::string last_failure;     // logged once
  };

  bool WantsDial(const Target& target) const;
  bool Keeps(const Target& target) const;
  TimePoint FirstAt(const NodeId& node) const;
  Duration Pause(int attempts);
  Verdict Failed(Target& target, const Error& why, bool refused_by_machine);
  void GiveUpInTheEnd(const Target& target);
  void Introduced(const PeerIntroductions::Place& place);
  void IntroducedNoMore(const PeerIntroductions::Place& place);
  bool Refute(const std::string& address, const NodeId& served_by);
  void SeekLost(Target& target);

  const PeerIdentity& own_;
  const PeerDialLimits limits_;
  const Duration in_doubt_;
  const Clock& clock_;
  const Sessions& sessions_;
  const Random random_;
  std::map<std::string, Target> targets_;  // by address
};

}  // namespace raylet
