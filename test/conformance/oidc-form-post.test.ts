/** The certification plan "Form Post Basic": the same modules, answered by a form that the person's browser posts. */

import { testBasicPlan } from './basic-plan.ts';

testBasicPlan('form_post');
