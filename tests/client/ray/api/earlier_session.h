// Handles of one session, made between ray::Init and ray::Shutdown, and everything that a program may do with them
// after the next ray::Init. For every runtime.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ray/api.h>

namespace earlier_session {

class Things {
 public:
  Things();
  ~Things();
  Things(const Things&) = delete;
  Things& operator=(const Things&) = delete;

  // Each use throws RayException at once; called after Shutdown and the next Init.
  void ExpectRefused();
  // Those of this session work beside them.
  void ExpectNewOnesWork();

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace earlier_session
