// A header with RAY_REMOTE in it, which two files of one program include.
#pragma once

#include <ray/api.h>

namespace twice_test {

inline int InBothFiles(int x) { return x + 1; }

class InBoth {
 public:
  static InBoth* Create() { return new InBoth(); }
  int Method() { return 5; }
};

RAY_REMOTE(InBothFiles, InBoth::Create, &InBoth::Method);

ray::ObjectRef<int> CallFromAnotherFile(int x);

}  // namespace twice_test
