// FakeStore: says Hello and tells which objects are sealed, as plasma_store does, on a thread of its own. For tests of
// the raylet, which asks no more of a store. Seal may be called from the test's thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "base/framed_socket.h"
#include "base/loop.h"
#include "fbs/ids.h"

namespace raylet::test {

class FakeStore {
 public:
  explicit FakeStore(const std::string& socket);
  ~FakeStore();

  void Seal(const ObjectId& object);

 private:
  class Session;
  void Accept();
  void TellSealed(const ObjectId& object);

  Loop loop_;
  UniqueFd listen_fd_, arena_, index_;  // an arena and an index without objects
  FdWatcher listener_;
  std::vector<std::unique_ptr<Session>> sessions_;  // the rest: loop's thread only
  std::set<ObjectId> sealed_;
  uint32_t clients_ = 0;
  std::thread thread_;
};

}  // namespace raylet::test
