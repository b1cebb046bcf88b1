// TravellingObjects: where tasks and calls meet objects of several machines. These are arguments that must come here,
// and results that lie on a machine other than their owner's. Loop thread only. Implemented by the object desk, and
// wired by the Raylet. Without other machines none of these calls does anything.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

class TravellingObjects {
 public:
  virtual ~TravellingObjects() = default;
  virtual void WantArguments(std::span<const ObjectId> objects) = 0;
  virtual void ReleaseArguments(std::span<const ObjectId> objects) = 0;
  // A result lies here, and a process of another machine owns it.
  virtual void ResultHere(const ObjectId& object) = 0;
  // As above, where the owner may have ended meanwhile.
  virtual void ResultHereOfWhoMayHaveEnded(ProcessId owner, const ObjectId& object) = 0;
  // A result lies there. `wanted`: a process of ours owns the result, and has heard of it, or will. `references`: the
  // objects in it.
  virtual void ResultThere(const NodeId& node, const ObjectId& object, std::vector<ObjectId> references,
                           bool wanted) = 0;
};

// ArgumentEvents: the task desk, as the object desk sees it.
class ArgumentEvents {
 public:
  virtual ~ArgumentEvents() = default;
  virtual void OnArgumentSealed(const ObjectId& object) = 0;
  virtual void OnArgumentLost(const ObjectId& object, const std::string& why) = 0;
};

}  // namespace raylet
