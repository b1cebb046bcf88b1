// A name of Plasma's, which programs may include. There is nothing in it on this system.
#pragma once
