/** The certification plan "Basic", module by module. */

import { testBasicPlan } from './basic-plan.ts';

testBasicPlan('query');
